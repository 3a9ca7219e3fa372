import { fileURLToPath } from 'node:url';
import {
  type Capabilities,
  CAPABILITY_LOSSES,
  CAPABILITY_NAMES,
  kebab,
} from '../../src/transports/common/capabilities.ts';
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

/** What is written down of a transport that does not run here: its column of `text`, in the form of formatMatrix. */
export function writtenOutcomes(text: string, transport: string): Outcomes {
  const can: Record<string, boolean> = {};
  const results = new Map<string, string>();
  for (const part of text.split('\n\n')) {
    const lines = part.split('\n').filter((line) => line.startsWith('|'));
    const [head = [], , ...rows] = lines.map((line) => line.slice(2, -2).split(' | '));
    const column = head.indexOf(transport);
    if (column < 0) continue;
    for (const cells of rows) {
      const [first, result] = [cells[0]!, cells[column]!];
      const capability = CAPABILITY_NAMES.find((name) => kebab(name) === first);
      if (capability !== undefined && head[0] === 'capability') can[capability] = result === 'yes';
      else results.set(first.replaceAll('\\|', '|'), result.replace(/^without /, ''));
    }
  }
  return new Map([[transport, { can: can as unknown as Capabilities, results }]]);
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
      return result === 'yes' || result === '?' ? result : `without ${result}`;
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
