import { readFileSync } from 'node:fs';

import { describe, expect, test } from 'vitest';

import {
  computeCoverage,
  isMissing,
  isRequired,
  isThroughMount,
  parseReferences,
  summarize,
  type Rule,
  type Section,
  type Tag,
  type TestOutcome,
} from '../../scripts/rules/coverage.ts';
import { formatSummary, formatTable, sectionFailures } from '../../scripts/rules/format.ts';
import { InputError, parseReport, parseRules } from '../../scripts/rules/input.ts';

// The titles of these tests name no rule: they would count as its coverage.

function rule(id: string, tags: readonly Tag[] = ['FD']): Rule {
  return { id, section: id.charAt(0) as Section, tags, title: `what ${id} says` };
}

function passing(title: string, file = 'test/engine/some.test.ts'): TestOutcome {
  return { file, title, passed: true };
}

function idsOf(title: string): string[] {
  return parseReferences(title).flatMap((reference) => reference.ids);
}

describe('rule ids in a title', () => {
  test('every id counts, wherever it stands', () => {
    expect(idsOf('P54 P55: writes up to PIPE_BUF are atomic (see K7, S90)')).toEqual([
      'P54',
      'P55',
      'K7',
      'S90',
    ]);
  });

  test('a range counts both its ends and what lies between', () => {
    expect(idsOf('P82-P84 P90: poll')).toEqual(['P82', 'P83', 'P84', 'P90']);
    expect(idsOf('K1-K1')).toEqual(['K1']);
  });

  test('ids of bugs and decisions, and longer words, are no rules', () => {
    expect(parseReferences('PB1 KB14 SB3 D12 PIPE2 64K16 XP1 P P_1')).toEqual([]);
  });

  test.each(['P82-84', 'P82-K84', 'P84-P82'])(
    'a range that means nothing names nothing (case %#)',
    (text) => {
      expect(parseReferences(`${text}: poll`)).toEqual([{ text, ids: [] }]);
    },
  );
});

describe('coverage', () => {
  const rules = [rule('P1'), rule('P2', ['INT']), rule('P3', ['TIME', 'EXT']), rule('K1', ['CTL'])];

  test('tests in the mount folders count apart from the others', () => {
    const { rules: entries } = computeCoverage(rules, [
      passing('P1: a'),
      passing('P1 P3: b', 'test/mount/shell.test.ts'),
      passing('P1: c', 'test/cases/poll.test.ts'),
      passing('P3: d', 'test/mounting/other.test.ts'),
    ]);
    expect(entries.map((entry) => [entry.rule.id, entry.engineTests, entry.mountTests])).toEqual([
      ['P1', 1, 2],
      ['P2', 0, 0],
      ['P3', 1, 1],
      ['K1', 0, 0],
    ]);
    expect(isThroughMount('src/test/mount/a.test.ts')).toBe(false);
  });

  test('only a passing test counts', () => {
    const { rules: entries } = computeCoverage(rules, [{ ...passing('P1: a'), passed: false }]);
    expect(entries.every((entry) => entry.engineTests === 0)).toBe(true);
  });

  test('a test counts once for a rule that its title names twice', () => {
    const { rules: entries } = computeCoverage(rules, [passing('P1 P1-P3: a')]);
    expect(entries.map((entry) => entry.engineTests)).toEqual([1, 1, 1, 0]);
  });

  test('an id without a rule is reported with its file, in a failing test too', () => {
    const file = 'test/engine/some.test.ts';
    const { unknown } = computeCoverage(rules, [
      passing('P1 P9: a'),
      passing('P1-P3: b'),
      passing('P2-P4: c'),
      { ...passing('K1-2: d'), passed: false },
    ]);
    expect(unknown).toEqual([
      { file, title: 'P1 P9: a', text: 'P9' },
      { file, title: 'P2-P4: c', text: 'P2-P4' },
      { file, title: 'K1-2: d', text: 'K1-2' },
    ]);
  });

  test('a rule tagged FD, TIME or CTL needs a test, others do not', () => {
    expect(rules.filter(isRequired).map((entry) => entry.id)).toEqual(['P1', 'P3', 'K1']);
    const { rules: entries } = computeCoverage(rules, [passing('P1: a')]);
    expect(entries.filter(isMissing).map((entry) => entry.rule.id)).toEqual(['P3', 'K1']);
  });

  test('a summary counts one section and names what it lacks', () => {
    const summary = summarize('P', computeCoverage(rules, [passing('P1 P2 K1: a', 'test/cases/x.test.ts')]));
    expect(summary).toEqual({ section: 'P', required: 2, covered: 1, throughMount: 1, missing: [rules[2]] });
    expect(formatSummary(summary)).toBe(
      'P rules tagged FD, TIME or CTL: 1 of 2 covered, 1 also through a mount',
    );
    expect(sectionFailures(summary, 1)).toEqual(['no passing test for P3']);
    expect(sectionFailures({ ...summary, missing: [] }, 2)).toEqual([
      'P rules through a mount: 1, at least 2 needed',
    ]);
    expect(sectionFailures({ ...summary, missing: [] }, 1)).toEqual([]);
  });

  test('the table lines its columns up and flags what is missing', () => {
    const { rules: entries } = computeCoverage([rule('P1'), rule('P10', ['FD', 'BUG'])], [passing('P1: a')]);
    expect(formatTable(entries)).toEqual([
      'rule  tags    engine  mount           title',
      'P1    FD           1      0           what P1 says',
      'P10   FD,BUG       0      0  MISSING  what P10 says',
    ]);
  });
});

describe('files', () => {
  test.each([
    ['test/rules/pipes.json', 'P', 141],
    ['test/rules/kqueue.json', 'K', 128],
    ['test/rules/shm.json', 'S', 90],
  ] as const)('%s has all its rules, in order, each in one line', (file, section, count) => {
    const rules = parseRules(readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8'), file);
    expect(rules.map((entry) => entry.id)).toEqual(
      Array.from({ length: count }, (_, index) => `${section}${index + 1}`),
    );
    expect(rules.filter((entry) => entry.title.length > 110)).toEqual([]);
    expect(new Set(rules.map((entry) => entry.title)).size).toBe(count);
  });

  test.each([
    ['{}', 'a.json: not a list of rules'],
    ['[{"id":"X1"}]', 'a.json, entry 1: "X1" is no rule id'],
    ['[{"id":"P1","title":"a"}]', 'a.json, entry 1: tags: not a list'],
    ['[{"id":"P1","title":"a","tags":["FAST"]}]', 'a.json, entry 1: "FAST" is no tag'],
    ['[{"id":"P1","title":"a\\nb","tags":["FD"]}]', 'a.json, entry 1: title is not one line'],
  ])('a bad rule file is one clear line (case %#)', (text, message) => {
    expect(() => parseRules(text, 'a.json')).toThrow(new InputError(message));
  });

  test('of a report only file, own title and a passed status count', () => {
    const assertionResults = ['passed', 'failed', 'skipped', 'todo'].map((status) => ({
      ancestorTitles: ['P1: not this one'],
      fullName: `P1: not this one P2: ${status}`,
      title: `P2: ${status}`,
      status,
    }));
    const report = JSON.stringify({ testResults: [{ name: '/project/test/a.test.ts', assertionResults }] });
    expect(parseReport(report, 'report', (file) => file.replace('/project/', ''))).toEqual([
      { file: 'test/a.test.ts', title: 'P2: passed', passed: true },
      { file: 'test/a.test.ts', title: 'P2: failed', passed: false },
      { file: 'test/a.test.ts', title: 'P2: skipped', passed: false },
      { file: 'test/a.test.ts', title: 'P2: todo', passed: false },
    ]);
  });

  test('a cut-off report is one clear line', () => {
    expect(() => parseReport('{"testResults": [', 'report', (file) => file)).toThrow(
      /^report: not JSON \(.+\)$/,
    );
    expect(() => parseReport('{}', 'report', (file) => file)).toThrow(
      new InputError('report: testResults: not a list'),
    );
  });
});
