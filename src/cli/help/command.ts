import type { Command } from 'commander';
import { UsageFailure } from '../failures.ts';
import { renderRows } from './terminal.ts';
import { TOPICS } from './topics.ts';

const DEFAULT_COLUMNS = 80;

export function terminalColumns(): number {
  return process.stdout.columns ?? DEFAULT_COLUMNS;
}

/** The list of topics, as it stands below the help of the program. */
export function topicList(): string {
  const rows = [...TOPICS].map(([name, { summary }]) => [`  ${name}`, summary]);
  return `\nTopics (ipcfs help TOPIC):\n${renderRows(rows, terminalColumns()).join('\n')}`;
}

/** `ipcfs help [NAME]`: the help of a command, a topic, or of the program. A name that is both shows both. */
export async function helpCommand(root: Command, name: string | undefined): Promise<void> {
  if (name === undefined) {
    root.outputHelp();
    return;
  }
  const command = root.commands.find((candidate) => candidate.name() === name);
  const texts: string[] = command === undefined ? [] : [command.helpInformation()];
  if (TOPICS.has(name)) texts.push(await topicText(name));
  if (texts.length === 0) {
    throw new UsageFailure(
      `there is no command and no topic '${name}': topics are ${[...TOPICS.keys()].join(', ')}`,
    );
  }
  process.stdout.write(texts.join('\n'));
}

/** Other commands need neither the Markdown parser nor a tree, and do not wait for them. */
async function topicText(name: string): Promise<string> {
  const [{ findTopic }, { renderForTerminal }] = await Promise.all([
    import('./topic-text.ts'),
    import('./terminal.ts'),
  ]);
  const text = renderForTerminal(findTopic(name).tokens, terminalColumns());
  const rows = await topicRows(name);
  return rows.length === 0 ? text : `${text}\n${renderRows(rows, terminalColumns()).join('\n')}\n`;
}

/** What a topic lists beside the text of its page. */
async function topicRows(name: string): Promise<string[][]> {
  switch (name) {
    case 'sysctl':
      return (await import('./tunables.ts')).tunableRows();
    case 'info':
      return (await import('./columns.ts')).infoColumnRows();
    default:
      return [];
  }
}

export function defineHelp(root: Command): void {
  root
    .command('help')
    .description('show the help of a command, or a topic')
    .argument('[TOPIC]', 'a command or a topic')
    .action(async (name: string | undefined) => {
      await helpCommand(root, name);
    });
}
