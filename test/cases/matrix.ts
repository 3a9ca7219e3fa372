import { fileURLToPath } from 'node:url';
import {
  type Capabilities,
  CAPABILITY_LOSSES,
  CAPABILITY_NAMES,
  kebab,
} from '../../src/transports/capabilities.ts';
import type { Case } from './case.ts';

export const MATRIX_FILE = fileURLToPath(new URL('../../native-notes/transports.md', import.meta.url));

/** What a run has shown of each transport: its capabilities, and for each case `yes` or the capability that it lacks. */
export type Outcomes = Map<
  string,
  { readonly can: Capabilities; readonly results: ReadonlyMap<string, string> }
>;

function row(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |\n`;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return row(head) + row(head.map(() => '---')) + rows.map(row).join('');
}

/** native-notes/transports.md. A case that failed, or did not run, shows as `?`. */
export function formatMatrix(cases: readonly Case[], outcomes: Outcomes): string {
  const names = [...outcomes.keys()];
  const capabilities = CAPABILITY_NAMES.map((name) => [
    kebab(name),
    ...names.map((transport) => (outcomes.get(transport)!.can[name] ? 'yes' : 'no')),
    CAPABILITY_LOSSES[name],
  ]);
  const behaviours = cases.map(({ name }) => [
    name.replaceAll('|', '\\|'),
    ...names.map((transport) => {
      const result = outcomes.get(transport)!.results.get(name) ?? '?';
      return result === 'yes' ? 'yes' : `without ${result}`;
    }),
  ]);
  return `# What each transport can do

Made by \`npm run matrix\` from a run of test/cases as root on Linux; a test fails when it is not what the run gives.

## Capabilities

${table(['capability', ...names, 'without it'], capabilities)}
## Behaviours

\`without NAME\`: the transport lacks that capability. Where what happens instead can be shown, the same run has shown it.

${table(['behaviour', ...names], behaviours)}`;
}
