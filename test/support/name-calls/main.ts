/**
 * Makes calls on names and prints their results as JSON, an object by case. Run on two file systems, with the same cases, one says what
 * the other should have said. Argument: a directory, which is empty and on the file system.
 */
import * as fs from 'node:fs';
import { outcome } from './calls.ts';
import { moves } from './moves.ts';
import { names } from './names.ts';
import { openings } from './openings.ts';
import { permissions } from './permissions.ts';
import { times } from './times.ts';

const results: Record<string, unknown> = {};
process.umask(0o22);
process.chdir(process.argv[2]!);
const base = process.cwd();
fs.chmodSync('.', 0o755);
for (const [name, run] of Object.entries({ ...names, ...moves, ...openings, ...permissions, ...times })) {
  const directory = `${base}/${name.replaceAll(' ', '-')}`;
  fs.mkdirSync(directory);
  process.chdir(directory);
  results[name] = outcome(run);
}
process.stdout.write(JSON.stringify(results));
