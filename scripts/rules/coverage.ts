export const sections = ['P', 'K', 'S'] as const;
export type Section = (typeof sections)[number];

export const tags = ['FD', 'TIME', 'CTL', 'INT', 'EXT', 'BUG'] as const;
export type Tag = (typeof tags)[number];

export interface Rule {
  readonly id: string;
  readonly section: Section;
  readonly tags: readonly Tag[];
  /** What this project does, in one line. */
  readonly title: string;
  /** The decision or the corrected bug that makes this project differ from the kernel source. */
  readonly decided?: string;
}

export interface TestOutcome {
  /** Relative to the project, with forward slashes. */
  readonly file: string;
  /** The test's own title, without those of the describe blocks around it. */
  readonly title: string;
  readonly passed: boolean;
}

export interface RuleReference {
  readonly text: string;
  /** Empty for a range that means nothing, such as one across sections. */
  readonly ids: readonly string[];
}

export interface UnknownReference {
  readonly file: string;
  readonly title: string;
  readonly text: string;
}

export interface RuleCoverage {
  readonly rule: Rule;
  readonly engineTests: number;
  readonly mountTests: number;
}

export interface Coverage {
  readonly rules: readonly RuleCoverage[];
  readonly unknown: readonly UnknownReference[];
}

export interface SectionSummary {
  readonly section: Section;
  readonly required: number;
  readonly covered: number;
  readonly throughMount: number;
  readonly missing: readonly Rule[];
}

const observableTags: ReadonlySet<Tag> = new Set<Tag>(['FD', 'TIME', 'CTL']);
const mountFolders = ['test/mount/', 'test/cases/'];

// The second letter is optional here only so that the short form is reported instead of half read.
const referencePattern = /\b([PKS])(\d+)(?:-([PKS]?)(\d+))?\b/g;

export function isSection(value: string): value is Section {
  return (sections as readonly string[]).includes(value);
}

export function isTag(value: string): value is Tag {
  return (tags as readonly string[]).includes(value);
}

/** A rule that nothing outside can observe needs no test of its own. */
export function isRequired(rule: Rule): boolean {
  return rule.tags.some((tag) => observableTags.has(tag));
}

export function isThroughMount(file: string): boolean {
  return mountFolders.some((folder) => file.startsWith(folder));
}

export function isCovered(entry: RuleCoverage): boolean {
  return entry.engineTests + entry.mountTests > 0;
}

export function isMissing(entry: RuleCoverage): boolean {
  return isRequired(entry.rule) && !isCovered(entry);
}

export function parseReferences(title: string): RuleReference[] {
  const references: RuleReference[] = [];
  for (const match of title.matchAll(referencePattern)) {
    const [text, section = '', first = '', lastSection, last] = match;
    const ids =
      last === undefined
        ? [`${section}${first}`]
        : section === lastSection
          ? expandRange(section, Number(first), Number(last))
          : [];
    references.push({ text, ids });
  }
  return references;
}

export function computeCoverage(rules: readonly Rule[], outcomes: readonly TestOutcome[]): Coverage {
  const known = new Set(rules.map((rule) => rule.id));
  const engine = new Map<string, number>();
  const mount = new Map<string, number>();
  const unknown: UnknownReference[] = [];
  for (const { file, title, passed } of outcomes) {
    const references = parseReferences(title);
    // A wrong id is wrong in a failing test too, where it would hide until the test passes.
    for (const { text, ids } of references) {
      if (ids.length === 0 || ids.some((id) => !known.has(id))) unknown.push({ file, title, text });
    }
    if (!passed) continue;
    const counts = isThroughMount(file) ? mount : engine;
    for (const id of new Set(references.flatMap((reference) => reference.ids))) {
      counts.set(id, (counts.get(id) ?? 0) + 1);
    }
  }
  return {
    rules: rules.map((rule) => ({
      rule,
      engineTests: engine.get(rule.id) ?? 0,
      mountTests: mount.get(rule.id) ?? 0,
    })),
    unknown,
  };
}

export function summarize(section: Section, coverage: Coverage): SectionSummary {
  const required = coverage.rules.filter(({ rule }) => rule.section === section && isRequired(rule));
  return {
    section,
    required: required.length,
    covered: required.filter(isCovered).length,
    throughMount: required.filter((entry) => entry.mountTests > 0).length,
    missing: required.filter(isMissing).map((entry) => entry.rule),
  };
}

function expandRange(section: string, first: number, last: number): string[] {
  const ids: string[] = [];
  for (let number = first; number <= last; number += 1) ids.push(`${section}${number}`);
  return ids;
}
