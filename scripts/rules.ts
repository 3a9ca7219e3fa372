import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';

import {
  computeCoverage,
  isMissing,
  isSection,
  sections,
  summarize,
  type Section,
} from './rules/coverage.ts';
import { formatSummary, formatTable, formatUnknown, sectionFailures } from './rules/format.ts';
import { InputError, parseReport, parseRules } from './rules/input.ts';

// A section becomes required when its engine has landed: add its letter here, and its minimum below.
const requiredSections: readonly Section[] = ['P', 'K', 'S'];

// Rules that must also hold for a shell or a C program on a real mount, not only inside the engine.
const minimumThroughMount: Readonly<Record<Section, number>> = { P: 60, K: 60, S: 45 };

const ruleFolder = 'test/rules';
const ruleFiles = ['pipes.json', 'kqueue.json', 'shm.json'].map((name) => `${ruleFolder}/${name}`);
const reportFile = '.cache/test-report.json';

interface Options {
  readonly sections: readonly Section[];
  readonly quiet: boolean;
}

class UsageError extends Error {
  override readonly name = 'UsageError';
}

function parseOptions(args: readonly string[]): Options {
  const { values } = parseCommandLine(args);
  const chosen = new Set<Section>();
  for (const value of values.section ?? requiredSections) {
    if (!isSection(value)) throw new UsageError(`no section "${value}", there are ${sections.join(', ')}`);
    chosen.add(value);
  }
  return { sections: sections.filter((section) => chosen.has(section)), quiet: values.quiet };
}

function parseCommandLine(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        section: { type: 'string', multiple: true },
        quiet: { type: 'boolean', default: false },
      },
    });
  } catch (error) {
    // parseArgs goes on to explain "--" in the same message: more than one line needs.
    const reason = error instanceof Error ? error.message : String(error);
    throw new UsageError(reason.split(/\.\s/)[0] ?? reason, { cause: error });
  }
}

/** The script runs compiled, from a folder that depends on the build, and from any working directory. */
function findProject(): string {
  for (let folder = import.meta.dirname; ; folder = path.dirname(folder)) {
    if (existsSync(path.join(folder, ruleFolder))) return folder;
    if (path.dirname(folder) === folder) throw new InputError(`no ${ruleFolder} above this script`);
  }
}

function newestTestFile(project: string): { file: string; modifiedMs: number } {
  let newest = { file: 'test', modifiedMs: 0 };
  for (const entry of readdirSync(path.join(project, 'test'), { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = path.join(entry.parentPath, entry.name);
    const modifiedMs = statSync(file).mtimeMs;
    if (modifiedMs > newest.modifiedMs) newest = { file: toProjectPath(project, file), modifiedMs };
  }
  return newest;
}

function toProjectPath(project: string, file: string): string {
  return path.relative(project, file).split(path.sep).join('/');
}

function readReport(project: string): string {
  const file = path.join(project, reportFile);
  const written = statSync(file, { throwIfNoEntry: false });
  if (written === undefined) throw new InputError(`run npm test first: there is no ${reportFile}`);
  const newest = newestTestFile(project);
  if (written.mtimeMs < newest.modifiedMs) {
    throw new InputError(`run npm test first: ${reportFile} is older than ${newest.file}`);
  }
  return readFileSync(file, 'utf8');
}

function readRequired(project: string, file: string): string {
  const absolute = path.join(project, file);
  if (!existsSync(absolute)) throw new InputError(`${file} is missing`);
  return readFileSync(absolute, 'utf8');
}

function run({ sections: chosen, quiet }: Options): number {
  const project = findProject();
  const rules = ruleFiles.flatMap((file) => parseRules(readRequired(project, file), file));
  const outcomes = parseReport(readReport(project), reportFile, (file) => toProjectPath(project, file));
  const coverage = computeCoverage(rules, outcomes);

  const shown = coverage.rules.filter(
    (entry) => chosen.includes(entry.rule.section) && (!quiet || isMissing(entry)),
  );
  const lines = shown.length === 0 ? [] : [...formatTable(shown), ''];
  const failures = coverage.unknown.map(formatUnknown);
  for (const section of chosen) {
    const summary = summarize(section, coverage);
    lines.push(formatSummary(summary));
    failures.push(...sectionFailures(summary, minimumThroughMount[section]));
  }
  process.stdout.write(lines.map((line) => `${line}\n`).join(''));
  process.stderr.write(failures.map((line) => `rules: ${line}\n`).join(''));
  return failures.length === 0 ? 0 : 1;
}

function main(): number {
  try {
    return run(parseOptions(process.argv.slice(2)));
  } catch (error) {
    if (!(error instanceof UsageError || error instanceof InputError)) throw error;
    process.stderr.write(`rules: ${error.message}\n`);
    return error instanceof UsageError ? 2 : 1;
  }
}

process.exitCode = main();
