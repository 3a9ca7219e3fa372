import type { Command } from 'commander';
import { UsageFailure } from '../failures.ts';
import type { TraceCommandOptions } from './trace.ts';

function parsePid(text: string): number {
  const pid = /^[0-9]+$/.test(text) ? Number(text) : 0;
  if (pid >= 1 && Number.isSafeInteger(pid)) return pid;
  throw new UsageFailure(`--pid takes the number of a process or a thread, not '${text}'`);
}

function parseContent(text: string): number {
  const bytes = /^[0-9]+$/.test(text) ? Number(text) : 0;
  if (bytes >= 1 && Number.isSafeInteger(bytes)) return bytes;
  throw new UsageFailure(`--content takes a number of bytes, 1 or more, as in --content=64, not '${text}'`);
}

export function defineTrace(root: Command): void {
  root
    .command('trace')
    .description(
      'print a line for each call and event in the mount on DIR, as it happens, or those of COMMAND',
    )
    .argument('<DIR>', 'the mount point')
    .argument(
      '[COMMAND...]',
      'run it with IPCFS=DIR, trace it and its children, end with its status; write -- first',
    )
    .option('--object <GLOB>', "only calls on these objects, for example 'pipes/*'")
    .option('--pid <N>', 'only calls of this process or thread', parsePid)
    .option('--call <NAMES>', 'only these calls, for example read,write')
    .option(
      '--content [BYTES]',
      'with the bytes that calls move: all, or the first BYTES of each call',
      parseContent,
    )
    .option('--json', 'print each line as a JSON object', false)
    .option('--perfetto <FILE>', 'write a file for Perfetto and chrome://tracing')
    .option('--html <FILE>', 'write a page with a timeline and the graph of processes and pipes to FILE')
    .option(
      '--output <FILE>',
      'write to FILE; the default is standard output, or standard error with COMMAND',
    )
    .action(async (directory: string, command: readonly string[], options: TraceCommandOptions) => {
      const { traceCommand } = await import('./trace.ts');
      await traceCommand(directory, command, options);
    });
}
