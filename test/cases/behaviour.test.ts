import { readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type Capabilities,
  CAPABILITY_LOSSES,
  CAPABILITY_NAMES,
  kebab,
} from '../../src/transports/common/capabilities.ts';
import { builtModule } from '../support/fuse-modules.ts';
import { describeMount, TestMount } from '../support/mount.ts';
import { blockedCases } from './blocked-cases.ts';
import { type Case, perform } from './case.ts';
import { kqueueCases } from './kqueue-cases.ts';
import { formatMatrix, MATRIX_FILE, type Outcomes, writtenOutcomes } from './matrix.ts';
import { pipeCases } from './pipe-cases.ts';
import { segmentCases } from './segment-cases.ts';
import { treeCases } from './tree-cases.ts';

const cases: readonly Case[] = [...pipeCases, ...blockedCases, ...kqueueCases, ...segmentCases, ...treeCases];

/** How the cases are run: transports, and packages that serve in the place of fuse-native. */
interface Column {
  readonly name: string;
  readonly args: readonly string[];
  readonly missing: string | null;
  /** Whether native-notes has it. The others can do what fuse-native can. */
  readonly isInMatrix: boolean;
}

const columns: readonly Column[] = [
  { name: 'raw', args: ['--transport', 'raw'], missing: null, isInMatrix: true },
  { name: 'fuse-native', args: ['--transport', 'fuse-native'], missing: null, isInMatrix: true },
  { ...builtModule('fuse-napi'), isInMatrix: true },
  { ...builtModule('@cocalc/fuse-native'), isInMatrix: false },
];
const outcomes: Outcomes = new Map();

for (const { name: column, args, missing, isInMatrix } of columns) {
  if (missing !== null) {
    describe.skip(`every behaviour through ${column} (${missing})`, () => {
      test('is not run', () => undefined);
    });
    if (isInMatrix)
      writtenOutcomes(readFileSync(MATRIX_FILE, 'utf8'), column).forEach((of, name) =>
        outcomes.set(name, of),
      );
    continue;
  }
  describeMount(`every behaviour through ${column}`, () => {
    const results = new Map<string, string>();
    let mount: TestMount;
    let can: Capabilities;

    beforeAll(async () => {
      mount = await TestMount.start(args);
      const facts = new Map((await mount.table('transport')).map(({ name, value }) => [name, value]));
      expect(facts.get('transport')).toBe(args[1]);
      can = Object.fromEntries(
        CAPABILITY_NAMES.map((name) => [name, facts.get(kebab(name)) === 'yes']),
      ) as unknown as Capabilities;
      if (isInMatrix) outcomes.set(column, { can, results });
      else expect(can).toEqual(outcomes.get('fuse-native')!.can);
    });
    afterAll(() => mount.stop());

    test.for(cases)('$name', async ({ name, needs = [], run, without }, { skip }) => {
      const missing = needs.find((capability) => !can[capability]);
      if (missing === undefined) {
        await perform(run, mount, () => TestMount.start(args));
        results.set(name, 'yes');
        return;
      }
      if (without !== undefined) await perform(without, mount, () => TestMount.start(args));
      results.set(name, kebab(missing));
      skip(`without ${kebab(missing)}: ${CAPABILITY_LOSSES[missing]}`);
    });
  });
}

describeMount('the support matrix', () => {
  test('native-notes has what this run gives', () => {
    // What does not run here was known before the others.
    const inOrder = columns.flatMap(({ name }) => {
      const of = outcomes.get(name);
      return of === undefined ? [] : [[name, of] as const];
    });
    const matrix = formatMatrix(cases, new Map(inOrder));
    if (process.env['IPCFS_WRITE_MATRIX'] !== undefined) writeFileSync(MATRIX_FILE, matrix);
    expect(readFileSync(MATRIX_FILE, 'utf8')).toBe(matrix);
  });
});
