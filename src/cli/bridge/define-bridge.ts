import { type Command, Option } from 'commander';
import { parseSeconds } from '../arguments.ts';
import { UsageFailure } from '../failures.ts';
import { type BridgeCommandOptions, ROLES, type StartPosition } from './bridge-options.ts';

const LARGEST_WINDOW = 1024;
const sizeUnits: Readonly<Record<string, number>> = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 };

function parseWindow(text: string): number {
  const count = /^[0-9]{1,4}$/.test(text) ? Number(text) : 0;
  if (count >= 1 && count <= LARGEST_WINDOW) return count;
  throw new UsageFailure(`--window takes a number of records from 1 to ${LARGEST_WINDOW}, not '${text}'`);
}

function parseFrom(text: string): StartPosition {
  if (text === 'all' || text === 'new') return text;
  const sequence = /^[0-9]{1,15}$/.test(text) ? Number(text) : 0;
  if (sequence >= 1) return sequence;
  throw new UsageFailure(`--from takes all, new or the number of a record in the stream, not '${text}'`);
}

function parseName(option: string): (text: string) => string {
  return (text) => {
    if (/^[A-Za-z0-9_-]{1,64}$/.test(text)) return text;
    throw new UsageFailure(`${option} takes a name of letters, digits, - and _, not '${text}'`);
  };
}

function parseAckWait(text: string): number {
  const milliseconds = parseSeconds('--ack-wait', text);
  if (milliseconds >= 1000) return milliseconds;
  throw new UsageFailure(`--ack-wait takes 1 second or more, not '${text}'`);
}

function parseSize(text: string): number {
  const match = /^([0-9]{1,12})([KMG]?)$/.exec(text);
  const bytes = match === null ? 0 : Number(match[1]) * sizeUnits[match[2]!]!;
  if (bytes >= 1) return bytes;
  throw new UsageFailure(`--max-bytes takes a size, for example 64M, not '${text}'`);
}

/** `role` may have been left out. */
type GivenOptions = Omit<BridgeCommandOptions, 'role'> & Partial<Pick<BridgeCommandOptions, 'role'>>;

export function defineBridge(root: Command): void {
  root
    .command('bridge')
    .description('connect a pipe, or a user event of a kqueue, with a stream of a NATS server')
    .argument('<PIPE>', "DIR/pipes/NAME, or for events 'DIR/kqueues/NAME user N'")
    .argument('<URL>', 'nats://HOST:PORT/SUBJECT, or tls://; several hosts are separated by commas')
    .addOption(
      new Option(
        '--role <ROLE>',
        'who gets a record: one worker of all machines, every machine, or readers from a position on',
      ).choices(ROLES),
    )
    .option('--out', 'records of the pipe become messages')
    .option('--in', 'messages become records in the pipe')
    .option(
      '--durable <NAME>',
      'work: the name that all workers share (workers); else keep the position under this name',
      parseName('--durable'),
    )
    .option(
      '--from <POSITION>',
      'where to begin without a kept position: all (log), new (broadcast), or a number',
      parseFrom,
    )
    .option('--window <N>', 'maximum number of records under way; the default is 64 out, 32 in', parseWindow)
    .addOption(
      new Option(
        '--ack-wait <SECONDS>',
        'with work: seconds without an acknowledgement after which another reader gets the record',
      )
        .argParser(parseAckWait)
        .default(30_000, '30'),
    )
    .option('--stream <NAME>', 'name of the stream; the subject with _ for dots', parseName('--stream'))
    .option('--max-bytes <SIZE>', 'size of a stream that is created', parseSize)
    .option('--creds <FILE>', "credentials as NATS's tools write them")
    .option('--connection <FILE>', "options of NATS's client as JSON: user, pass, token, tls and so on")
    .option('--metrics <FILE>', 'write counters to FILE, in the text format of Prometheus')
    .option('--status', 'print the state of the stream and its readers, and end')
    .action(async (pipe: string, url: string, { role, ...options }: GivenOptions) => {
      // Not left to the parser, which would name this before a word that it does not know.
      if (role === undefined) throw new UsageFailure(`--role is missing: give ${ROLES.join(', ')}`);
      const { bridgeCommand } = await import('./bridge.ts');
      await bridgeCommand(pipe, url, { ...options, role });
    });
}
