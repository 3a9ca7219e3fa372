import { isMissing, type RuleCoverage, type SectionSummary, type UnknownReference } from './coverage.ts';

const header = ['rule', 'tags', 'engine', 'mount', '', 'title'];
const numericColumns: ReadonlySet<number> = new Set([2, 3]);

export function formatTable(entries: readonly RuleCoverage[]): string[] {
  const rows = [header, ...entries.map(toRow)];
  const widths = header.map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  return rows.map((row) =>
    row
      .map((cell, column) => {
        const width = widths[column] ?? 0;
        return numericColumns.has(column) ? cell.padStart(width) : cell.padEnd(width);
      })
      .join('  ')
      .trimEnd(),
  );
}

export function formatSummary({ section, required, covered, throughMount }: SectionSummary): string {
  const counts = `${covered} of ${required} covered, ${throughMount} also through a mount`;
  return `${section} rules tagged FD, TIME or CTL: ${counts}`;
}

export function formatUnknown({ file, title, text }: UnknownReference): string {
  return `${file}: no rule ${text} (test "${title.replaceAll(/\s+/g, ' ')}")`;
}

/** What keeps a section from passing, one line each; none when it passes. */
export function sectionFailures(summary: SectionSummary, minimumThroughMount: number): string[] {
  const { section, missing, throughMount } = summary;
  const failures: string[] = [];
  if (missing.length > 0) {
    failures.push(`no passing test for ${missing.map((rule) => rule.id).join(' ')}`);
  }
  if (throughMount < minimumThroughMount) {
    failures.push(
      `${section} rules through a mount: ${throughMount}, at least ${minimumThroughMount} needed`,
    );
  }
  return failures;
}

function toRow(entry: RuleCoverage): string[] {
  const { rule, engineTests, mountTests } = entry;
  return [
    rule.id,
    rule.tags.join(','),
    String(engineTests),
    String(mountTests),
    isMissing(entry) ? 'MISSING' : '',
    rule.title,
  ];
}
