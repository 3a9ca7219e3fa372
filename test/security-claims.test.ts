import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));

/** The claims that names of tests in `text` mention. */
function claimsOfTests(text: string): string[] {
  const names = [...text.matchAll(/\btest(?:\.\w+)?(?:\([^()\n]*\))?\(\s*(['"`])(.*?)\1/g)].map(
    (match) => match[2]!,
  );
  return names.flatMap((name) => [...name.matchAll(/\[(SEC-\d+)\]/g)].map((match) => match[1]!));
}

const security = readFileSync(join(root, 'SECURITY.md'), 'utf8');
const claims = [...security.matchAll(/^\| (SEC-\d+) \|/gm)].map((match) => match[1]!);
const tested = readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.test.ts') && !name.startsWith('security-claims'))
  .flatMap((name) => claimsOfTests(readFileSync(join(root, 'test', name), 'utf8')));

test('each claim of SECURITY.md has a number of its own, in order', () => {
  expect(claims).toEqual(claims.map((_, index) => `SEC-${index + 1}`));
  expect(claims.length).toBeGreaterThan(10);
});

test('each claim has a test that names it, and each test that names one has a claim', () => {
  expect(claims.filter((claim) => !tested.includes(claim))).toEqual([]);
  expect(tested.filter((claim) => !claims.includes(claim))).toEqual([]);
});

test('the files that SECURITY.md names are there', () => {
  const files = [...security.matchAll(/`((?:src|test)\/[^`]+)`/g)].map((match) => match[1]!);
  expect(files.length).toBeGreaterThan(20);
  for (const file of files)
    expect([file, readFileSync(join(root, file), 'utf8') !== '']).toEqual([file, true]);
});

test('each attack of SECURITY.md has a bound and a test file that exists, and each test of an attack is listed', () => {
  const section = security.split('## Attacks that are tried\n')[1]!.split('\n## ')[0]!;
  const rows = section.split('\n').filter((line) => line.startsWith('| ') && !/^\| (attack|---) /.test(line));
  expect(rows.length).toBeGreaterThan(10);
  const files = rows.map((row) => {
    const [, attack, bound, file] = /^\| (.+) \| (.+) \| `(test\/[^`]+\.test\.ts)` \|$/.exec(row) ?? [];
    expect([row, attack, bound]).toEqual([row, expect.any(String), expect.any(String)]);
    expect([row, existsSync(join(root, file!))]).toEqual([row, true]);
    return file!;
  });
  const directory = 'test/mount/hostile';
  const attacks = readdirSync(join(root, directory)).filter((name) => name !== 'harness.test.ts');
  expect(attacks.filter((name) => !files.includes(`${directory}/${name}`))).toEqual([]);
});

test('names of tests are found as they are written', () => {
  expect(
    claimsOfTests("test('[SEC-1] a', () => {}); test.for(x)('[SEC-2] b', y); // test of [SEC-3]"),
  ).toEqual(['SEC-1', 'SEC-2']);
});
