import { type Command, Option } from 'commander';
import { UsageFailure } from '../failures.ts';
import type { ReplayCommandOptions } from './replay.ts';

/** How many times as fast; Infinity without any waiting. */
function parseSpeed(text: string): number {
  if (text === 'max') return Infinity;
  const speed = /^([0-9]+\.?[0-9]*|\.[0-9]+)$/.test(text) ? Number(text) : 0;
  if (speed > 0 && Number.isFinite(speed)) return speed;
  throw new UsageFailure(`--speed takes a number above 0, or max, not '${text}'`);
}

export function defineReplay(root: Command): void {
  root
    .command('replay')
    .description(
      'write the bytes that a trace has recorded of a pipe into the pipe of that name in the mount on DIR',
    )
    .argument('<FILE>', "a recording of 'ipcfs trace --json --content'")
    .argument('<DIR>', 'the mount point')
    .option('--object <GLOB>', "only these pipes, for example 'pipes/a'; the default is all recorded pipes")
    .addOption(
      new Option('--speed <N>', 'speed factor; max waits for readers only').argParser(parseSpeed).default(1),
    )
    .addOption(
      new Option('--from <CALLS>', 'calls that the bytes, their boundaries and their times come from')
        .choices(['writes', 'reads'])
        .default('writes'),
    )
    .action(async (file: string, directory: string, options: ReplayCommandOptions) => {
      const { replayCommand } = await import('./replay.ts');
      await replayCommand(file, directory, options);
    });
}
