import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { processStatus } from '../../host/linux/processes/processes.ts';
import { printable } from '../printable.ts';
import { answered, explain, type MountPoint } from '../tables/mount-calls.ts';
import { commandOf, queuedBytes, segmentName } from '../tables/objects.ts';
import { readTable, type Tables } from '../tables/tables.ts';
import { announce, type Run, type RunFeature } from './run-feature.ts';

const EXIT_LEAKS = 4;
/** Of each kind. */
const LISTED = 20;
/** The kernel tells the server of a close when it has time to: so long a descriptor may show that nobody has any more. */
const CLOSING_TIMEOUT_MS = 1000;
const POLL_INTERVAL_MS = 20;
/** Where users make names. */
const NAMED = ['pipes', 'pairs', 'kqueues'];

/** What is in a mount that a command should have taken away or read. */
export interface Remains {
  readonly pipes: readonly Tables['pipes'][];
  readonly segments: readonly Tables['shm'][];
  /** Those of others than this process. */
  readonly handles: readonly Tables['handles'][];
  /** Paths, from the root of the mount. */
  readonly names: readonly string[];
}

/** `--leaks`: lists what the command has left, and fails for it. */
export class LeakCheck implements RunFeature {
  async judge({ mount }: Run): Promise<number | null> {
    const giveUpMs = performance.now() + CLOSING_TIMEOUT_MS;
    let remains = await lookAtRemains(mount);
    while (remains.handles.length > 0 && performance.now() < giveUpMs) {
      await delay(POLL_INTERVAL_MS);
      remains = await lookAtRemains(mount);
    }
    const lines = describeRemains(remains, commandOf);
    for (const line of lines) announce(`leak: ${line}`);
    return lines.length === 0 ? null : EXIT_LEAKS;
  }
}

async function lookAtRemains(mount: MountPoint): Promise<Remains> {
  const handles = await readTable(mount, 'handles');
  return {
    pipes: await readTable(mount, 'pipes'),
    segments: await readTable(mount, 'shm'),
    handles: handles.filter(({ pid }) => processStatus(pid)?.tgid !== process.pid),
    names: await namesIn(mount),
  };
}

async function namesIn(mount: MountPoint): Promise<string[]> {
  const names: string[] = [];
  for (const directory of NAMED) {
    // The ends of a pair belong to its name.
    const options = { recursive: directory === 'pipes', encoding: 'latin1' } as const;
    try {
      const found = await answered(mount, () => readdir(join(mount.path, directory), options));
      names.push(...found.sort().map((name) => join(directory, Buffer.from(name, 'latin1').toString())));
    } catch (error) {
      throw explain(error, mount, directory);
    }
  }
  return names;
}

/** A line for each leak; of very many of one kind, the first and how many more there are. */
export function describeRemains(
  { pipes, segments, handles, names }: Remains,
  commandOfProcess: (pid: number) => string,
): string[] {
  const unread = pipes.flatMap((pipe) => {
    // Bytes that are lost with the last close count as well: nobody has read them.
    const bytes = Math.max(pipe['bytes-in'] - pipe['bytes-out'], queuedBytes(pipe));
    return bytes > 0 ? [`${count(bytes, 'byte')} of ${printable(pipe.path)} not read`] : [];
  });
  return [
    ...some(names.map((name) => `${printable(name)} not removed`)),
    ...some(unread),
    ...some(
      segments.map(
        (segment) => `segment ${segmentName(segment)} of ${count(segment.size, 'byte')} not removed`,
      ),
    ),
    ...some(
      handles.map(
        ({ path, mode, pid }) =>
          `${printable(path)} open (${mode}), opened by ${printable(commandOfProcess(pid))} ${pid}`,
      ),
    ),
  ];
}

function some(lines: readonly string[]): readonly string[] {
  if (lines.length <= LISTED) return lines;
  return [...lines.slice(0, LISTED), `${lines.length - LISTED} more of this kind`];
}

function count(number: number, unit: string): string {
  return `${number} ${unit}${number === 1 ? '' : 's'}`;
}
