// Tries whether the tests notice careless changes: `npm run mutants -- [--survivors] [--files A,B] [ENGINE...]`.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { engineNames } from './engines.mjs';

/** What random tests begin with: a mutant is killed in every run, or in none. */
const SEED = '1';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { survivors: { type: 'boolean', default: false }, files: { type: 'string' } },
});

/** Where the mutants are that the last run of an engine's own tests has left, as Stryker's option `mutate` names them. */
function survivorsOf(engine) {
  const report = `.cache/mutants/${engine}/report.json`;
  if (!existsSync(report)) throw new Error(`${report} is not there: run without --survivors first`);
  const { files } = JSON.parse(readFileSync(report, 'utf8'));
  const places = new Set();
  for (const [file, { mutants }] of Object.entries(files)) {
    for (const { status, location } of mutants) {
      if (status !== 'Survived' && status !== 'NoCoverage') continue;
      const { start, end } = location;
      places.add(`${file}:${start.line}:${start.column - 1}-${end.line}:${end.column - 1}`);
    }
  }
  return [...places];
}

for (const name of positionals) {
  if (!engineNames.includes(name)) {
    console.error(`mutants: unknown engine "${name}". Engines: ${engineNames.join(', ')}.`);
    process.exit(2);
  }
}

let status = 0;
for (const engine of positionals.length > 0 ? positionals : engineNames) {
  const files = values.survivors ? survivorsOf(engine) : values.files?.split(',');
  if (files?.length === 0) continue;
  console.log(`mutants of src/${engine}${values.survivors ? ' that survived, with every test' : ''}`);
  const environment = {
    IPCFS_SEED: SEED,
    IPCFS_MUTANTS_ENGINE: engine,
    IPCFS_MUTANTS_SURVIVORS: values.survivors ? '1' : '0',
    ...(files === undefined ? {} : { IPCFS_MUTANTS_FILES: files.join(',') }),
  };
  const { status: ended } = spawnSync('npx', ['stryker', 'run', 'scripts/mutants/stryker.config.mjs'], {
    stdio: 'inherit',
    env: { ...process.env, ...environment },
  });
  if (ended !== 0) status = 1;
}
process.exit(status);
