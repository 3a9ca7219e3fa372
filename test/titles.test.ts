import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('.', import.meta.url));
const TITLE = /\b(?:test|describe)(?:\.\w+(?:\([^()\n]*\))?)*\(\s*(['"`])([PKS]\d[^\n]*?)\1/g;
const RULE = '[PKS]\\d+(?:-[PKS]?\\d+)?';
const FORM = new RegExp(`^${RULE}(?:, ${RULE})*: \\S`);

test('titles that begin with rules have one form: `P35, P36: what is so`', () => {
  const titles = readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.ts'))
    .flatMap((name) =>
      [...readFileSync(join(root, name), 'utf8').matchAll(TITLE)].map(([, , title]) => title!),
    );
  expect(titles.length).toBeGreaterThan(500);
  expect(titles.filter((title) => !FORM.test(title))).toEqual([]);
});
