import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { isIpcfsMount, listCommand, mountAround } from '../../host/mounts.ts';
import { printableWord } from '../../kern/printable.ts';
import { CommandFailure, UsageFailure } from '../failures.ts';
import { resolveWithoutTouching } from '../mount/mount-options.ts';
import { answered, explain, type MountPoint } from '../tables/mount-calls.ts';

const CONTROL = 'ctl';
const LONGEST_ANSWER_BYTES = 64 * 1024;
/** Of an answer: `ok`, or `error ERRNO`, and what follows. */
const ANSWER = /^(?:ok(?: (.*))?|error (\S+)(?: (.*))?)$/s;

/** Makes a request of `ctl` about the options of a pipe; what its answer says after `ok`. Throws a CommandFailure with what it says otherwise. */
export async function askOptions(
  verb: 'set' | 'unset' | 'get',
  path: string,
  words: readonly string[],
): Promise<string> {
  const bad = words.find((word) => word === '' || /\s/.test(word));
  if (bad !== undefined) throw new UsageFailure(`'${bad}' is no option: see 'ipcfs help options'`);
  const { mount, name } = locate(path);
  const request = [verb, printableWord(Buffer.from(name).toString('latin1')), ...words].join(' ');
  const answer = await ask(mount, `${request}\n`);
  const match = ANSWER.exec(answer.trimEnd());
  if (match === null)
    throw new CommandFailure(`${mount.directory}/${CONTROL} gave no answer: mount it again`);
  if (match[2] !== undefined) throw new CommandFailure(match[3] ?? `${path}: ${match[2]}`);
  return match[1] ?? '';
}

/** The mount that a path leads into, and the rest of the path. The path need not exist: the mount says so. */
function locate(path: string): { mount: MountPoint; name: string } {
  if (path === '') throw new UsageFailure('PIPE is empty: name a pipe in a mount');
  const absolute = resolveWithoutTouching(path);
  const entry = mountAround(absolute);
  if (entry === null || !isIpcfsMount(entry) || absolute === entry.directory)
    throw new CommandFailure(
      `${path} is no pipe in an ipcfs mount: '${listCommand()}' lists what is mounted`,
    );
  return {
    mount: { path: entry.directory, directory: entry.directory },
    name: absolute.slice(entry.directory.length + 1),
  };
}

async function ask(mount: MountPoint, request: string): Promise<string> {
  try {
    return await answered(mount, async () => {
      const control = await open(join(mount.path, CONTROL), constants.O_RDWR);
      try {
        await control.write(request, null, 'latin1');
        const { buffer, bytesRead } = await control.read(
          Buffer.alloc(LONGEST_ANSWER_BYTES),
          0,
          LONGEST_ANSWER_BYTES,
          null,
        );
        return buffer.toString('latin1', 0, bytesRead);
      } finally {
        await control.close();
      }
    });
  } catch (error) {
    throw explain(error, mount, CONTROL);
  }
}
