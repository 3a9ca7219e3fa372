import { closeSync, openSync, rmdirSync, writeSync } from 'node:fs';
import { Socket } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { logByComplaining } from '../../host/complain.ts';
import { returnFreedMemory } from '../../host/linux/memory/allocator.ts';
import * as libc from '../../host/linux/libc.ts';
import { packageVersion } from '../../host/package.ts';
import { mountFileSystem } from '../../transports/choose-transport.ts';
import { remark, report } from '../failures.ts';
import {
  type MountCommandOptions,
  READY,
  READY_DESCRIPTOR,
  SERVER_VARIABLE,
  type ServerInput,
} from './server-input.ts';

const STANDARD_ERROR = 2;

/** Serves until the mount ends, a signal comes, or `until` settles. */
async function serve(
  { directory, options, settings }: ServerInput,
  onReady: (text: string) => void,
  until?: Promise<void>,
): Promise<void> {
  // For those who list processes. Linux shows as much of it as the command line had room for.
  process.title = `ipcfs ${directory}`;
  logByComplaining();
  returnFreedMemory();
  // Threads that collect together wait for each other, and for a processor each.
  setFlagsFromString('--no-parallel-scavenge');
  // A signal that comes before the mount answers must not leave a dead mount behind.
  let isUnwanted = false;
  let stop = (): void => {
    isUnwanted = true;
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      stop();
    });
  }
  void until?.then(() => {
    stop();
  });
  const mounted = await mountFileSystem({
    directory,
    noExec: options.noexec,
    transport: options.transport,
    fuseModule: options.fuseModule,
    allowOther: options.allowOther,
    version: packageVersion(),
    spinMs: options.spin,
    shmBacking: options.shmBacking,
    ioUring: options.ioUring,
    sysctls: settings,
  });
  stop = () => {
    mounted.stop();
  };
  if (isUnwanted) stop();
  else onReady(mounted.remark ?? '');
  await mounted.ended;
  // Node would wait for the thread.
  if (mounted.isHeld === true) libc.exitNow(0);
}

/** Ends this process: libfuse leaves threads behind that would keep it, also where it has not come as far as a mount. */
function exitAfterLibfuse({ transport }: MountCommandOptions): void {
  if (transport !== 'raw') process.exit();
}

/** Serves until the mount ends or a signal comes. */
export async function serveInForeground(input: ServerInput): Promise<void> {
  try {
    await serve(input, remark);
  } catch (error) {
    process.exitCode = report(error);
  }
  exitAfterLibfuse(input.options);
}

/** The same in a process of its own, which says when the mount answers. */
export async function serveInBackground(): Promise<void> {
  const input = JSON.parse(process.env[SERVER_VARIABLE]!) as ServerInput;
  // Programs that it starts are no servers.
  Reflect.deleteProperty(process.env, SERVER_VARIABLE);
  // Holding a working directory would keep the file system that it is on from being unmounted.
  process.chdir('/');
  try {
    if (input.isPrivate) await servePrivately(input);
    else {
      await serve(input, (text) => {
        writeSync(READY_DESCRIPTOR, `${READY}${text}\n`);
        closeSync(READY_DESCRIPTOR);
        if (process.env['DEBUG'] === undefined) forgetStandardError();
      });
    }
  } catch (error) {
    process.exitCode = report(error);
  }
  exitAfterLibfuse(input.options);
}

/** Serves until the process that started this one closes its end of the link, or ends. That one hears what is complained about. */
async function servePrivately(input: ServerInput): Promise<void> {
  const link = new Socket({ fd: READY_DESCRIPTOR });
  const closed = new Promise<void>((resolve) => link.on('close', resolve));
  // A starter that was killed has not read everything; it is over all the same.
  link.on('error', () => undefined).resume();
  try {
    await serve(input, (text) => link.write(`${READY}${text}\n`), closed);
  } finally {
    link.destroy();
    removeDirectory(input.directory);
  }
}

/** The starter does the same when this process is killed. The second of the two finds nothing. */
function removeDirectory(directory: string): void {
  try {
    rmdirSync(directory);
  } catch {
    // It is gone, or not ours to remove.
  }
}

/** The caller stops listening once the mount answers: what is written then must go nowhere, not fail. */
function forgetStandardError(): void {
  // Without it, what is written fails, which nobody minds.
  if (libc.libraryFailure !== null) return;
  const nowhere = openSync('/dev/null', 'w');
  libc.dup2(nowhere, STANDARD_ERROR);
  closeSync(nowhere);
}
