import { exitNow } from '../../host/linux/libc.ts';
import { startThread } from '../../host/start-thread.ts';
import { CommandFailure, remark, report } from '../failures.ts';
import { mountPoint } from '../tables/mount-calls.ts';
import type { Part, PartMessage } from './player-thread.ts';
import { type Chunk, gapCount, readRecording, type RecordingOptions } from './recording.ts';

export interface ReplayCommandOptions extends RecordingOptions {
  /** Infinity for no waiting. */
  readonly speed: number;
}

const MS_PER_SECOND = 1000;
/** Each is a thread, since a call that waits for a reader must hold up no other pipe. */
const MOST_PIPES = 64;

/** `ipcfs replay`: ends the process when everything is written; a thread may still wait for a reader when another has failed. */
export async function replayCommand(
  file: string,
  directory: string,
  options: ReplayCommandOptions,
): Promise<void> {
  let status = 0;
  try {
    const mount = mountPoint(directory);
    const { pipes, lostLines } = await readRecording(file, options);
    if (pipes.size === 0) throw new CommandFailure(nothingToPlay(file, options));
    if (pipes.size > MOST_PIPES) {
      throw new CommandFailure(
        `${file} has ${pipes.size} pipes, of which ${MOST_PIPES} can be played: choose with --object`,
      );
    }
    const gaps = [...pipes.values()].reduce((sum, chunks) => sum + gapCount(chunks), 0);
    if (lostLines > 0) remark(`${file} has lost ${lostLines} lines: bytes may be missing`);
    if (gaps > 0) remark(`${file} lacks bytes at ${gaps} places: they were written before, or not recorded`);
    await play(pipes, mount.path, options.speed);
  } catch (error) {
    status = report(error);
  }
  exitNow(status);
}

function nothingToPlay(file: string, { object, from }: ReplayCommandOptions): string {
  const what = object === undefined ? 'a pipe' : `a pipe that matches '${object}'`;
  return `${file} has no ${from} of ${what}: record them with 'ipcfs trace --json --content'`;
}

/** Opens all pipes, which waits for their readers, and starts the clock then. */
async function play(
  pipes: ReadonlyMap<string, readonly Chunk[]>,
  directory: string,
  speed: number,
): Promise<void> {
  const gate = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  const firstTime = Math.min(...[...pipes.values()].map(([first]) => first!.time));
  let opening = pipes.size;
  const endings = [...pipes].map(
    ([path, chunks]) =>
      new Promise<void>((resolve, reject) => {
        const thread = startThread(
          new URL('./player-thread.js', import.meta.url),
          partOf(path, chunks, { directory, gate, firstTime, speed }),
        );
        thread.on('error', reject);
        thread.on('message', (message: PartMessage) => {
          if (message.kind === 'open' && --opening === 0) {
            Atomics.store(gate, 0, 1);
            Atomics.notify(gate, 0);
          }
          if (message.kind === 'end') resolve();
          if (message.kind === 'failed') reject(playFailure(directory, path, message.code));
        });
      }),
  );
  await Promise.all(endings);
}

interface Stage {
  readonly directory: string;
  readonly gate: Int32Array;
  readonly firstTime: number;
  readonly speed: number;
}

function partOf(path: string, chunks: readonly Chunk[], { directory, gate, firstTime, speed }: Stage): Part {
  const dueMs = chunks.map(({ time }) => ((time - firstTime) * MS_PER_SECOND) / speed);
  return {
    path: Buffer.concat([Buffer.from(`${directory}/`), Buffer.from(path, 'latin1')]),
    dueMs: Float64Array.from(dueMs),
    lengths: Uint32Array.from(chunks, ({ bytes }) => bytes.length),
    bytes: Buffer.concat(chunks.map(({ bytes }) => bytes)),
    gate,
  };
}

function playFailure(directory: string, path: string, code: string): CommandFailure {
  const why: Record<string, string> = {
    EPIPE: 'its reader has gone',
    ENOENT: 'make the directory or the pair first',
    EACCES: 'you may not write there: ask its owner, or run as root',
    ENOTCONN: 'the mount has ended: mount it again',
    ENXIO: 'the pair is closed: make it again',
  };
  return new CommandFailure(
    `${directory}/${path} cannot be written (${code}): ${why[code] ?? "see 'ipcfs doctor'"}`,
  );
}
