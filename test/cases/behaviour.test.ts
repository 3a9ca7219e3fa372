import { readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  type Capabilities,
  CAPABILITY_LOSSES,
  CAPABILITY_NAMES,
  kebab,
} from '../../src/transports/capabilities.ts';
import { describeMount, TestMount } from '../support/mount.ts';
import { type Case, perform } from './case.ts';
import { kqueueCases } from './kqueue-cases.ts';
import { formatMatrix, MATRIX_FILE, type Outcomes } from './matrix.ts';
import { pipeCases } from './pipe-cases.ts';
import { segmentCases } from './segment-cases.ts';
import { treeCases } from './tree-cases.ts';

const cases: readonly Case[] = [...pipeCases, ...kqueueCases, ...segmentCases, ...treeCases];
const transports = ['raw', 'fuse-native'] as const;
const outcomes: Outcomes = new Map();

for (const transport of transports) {
  describeMount(`every behaviour through ${transport}`, () => {
    const args = ['--transport', transport];
    const results = new Map<string, string>();
    let mount: TestMount;
    let can: Capabilities;

    beforeAll(async () => {
      mount = await TestMount.start(args);
      const facts = new Map((await mount.table('transport')).map(({ name, value }) => [name, value]));
      expect(facts.get('transport')).toBe(transport);
      can = Object.fromEntries(
        CAPABILITY_NAMES.map((name) => [name, facts.get(kebab(name)) === 'yes']),
      ) as unknown as Capabilities;
      outcomes.set(transport, { can, results });
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
    const matrix = formatMatrix(cases, outcomes);
    if (process.env['IPCFS_WRITE_MATRIX'] !== undefined) writeFileSync(MATRIX_FILE, matrix);
    expect(readFileSync(MATRIX_FILE, 'utf8')).toBe(matrix);
  });
});
