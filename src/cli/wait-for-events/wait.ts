import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { exitNow } from '../../host/linux/libc.ts';
import { report, UnansweredFailure } from '../failures.ts';
import { ANSWER_TIMEOUT_MS, explain, type MountPoint, mountPoint } from '../tables/mount-calls.ts';
import { isEvent, parseAnswer, refusal } from './wait-lines.ts';
import { changeLines } from './wait-changes.ts';
import { printableLine } from '../../kern/printable.ts';
import { toJson } from '../printable.ts';

export interface WaitCommandOptions {
  /** In milliseconds; 0 takes what is pending. Without it, waits for ever. */
  readonly timeout?: number;
  readonly count: number;
  readonly json: boolean;
}

/** What timeout(1) ends with. */
const EXIT_TIMED_OUT = 124;
const READ_BYTES = 65_536;

/**
 * `ipcfs wait`: makes a kqueue with these changes, prints the events, and ends the process. Calls on the mount are made by Node's
 * threads, so that signals and the time-out count even if the server hangs. Node would wait for a thread that is in read(2) before
 * it ends: this process ends without.
 */
export async function waitCommand(
  directory: string,
  changes: readonly string[],
  options: WaitCommandOptions,
): Promise<void> {
  const output = new Output();
  let status: number;
  try {
    const lines = changeLines(changes);
    const mount = mountPoint(directory);
    status = await Promise.race([collect(mount, lines, options, output), timeout(directory, options)]);
  } catch (error) {
    status = report(error);
  }
  await output.flushed();
  exitNow(status);
}

/** EXIT_TIMED_OUT when the time is over; with a time-out of 0 the mount still has to answer. */
function timeout(directory: string, { timeout: timeoutMs }: WaitCommandOptions): Promise<number> {
  return new Promise((resolve, reject) => {
    if (timeoutMs === undefined) return;
    setTimeout(
      () => {
        if (timeoutMs > 0) resolve(EXIT_TIMED_OUT);
        else reject(new UnansweredFailure(directory));
      },
      timeoutMs > 0 ? timeoutMs : ANSWER_TIMEOUT_MS,
    );
  });
}

async function collect(
  mount: MountPoint,
  lines: Buffer,
  options: WaitCommandOptions,
  output: Output,
): Promise<number> {
  const isPoll = options.timeout === 0;
  try {
    const kqueue = await open(
      join(mount.path, 'kqueue'),
      constants.O_RDWR | (isPoll ? constants.O_NONBLOCK : 0),
    );
    await kqueue.write(lines);
    let left = options.count;
    for await (const line of linesOf(kqueue)) {
      const answer = parseAnswer(line);
      output.write(options.json ? `${toJson(answer)}\n` : Buffer.from(`${printableLine(line)}\n`, 'latin1'));
      const refused = refusal(answer);
      if (refused !== null) throw refused;
      if (isEvent(answer) && --left === 0) break;
    }
    return 0;
  } catch (error) {
    if (isPoll && (error as NodeJS.ErrnoException).code === 'EAGAIN') return EXIT_TIMED_OUT;
    throw explain(error, mount, 'kqueue');
  }
}

async function* linesOf(kqueue: FileHandle): AsyncGenerator<string> {
  const buffer = Buffer.alloc(READ_BYTES);
  let rest = '';
  for (;;) {
    const { bytesRead } = await kqueue.read(buffer, 0, buffer.length, null);
    const lines = (rest + buffer.toString('latin1', 0, bytesRead)).split('\n');
    rest = lines.pop()!;
    yield* lines;
  }
}

/** Standard output. */
class Output {
  #pending = Promise.resolve();

  write(text: string | Buffer): void {
    this.#pending = new Promise((resolve) => {
      process.stdout.write(text, () => {
        resolve();
      });
    });
  }

  flushed(): Promise<void> {
    return this.#pending;
  }
}
