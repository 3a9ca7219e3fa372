import { closeSync, openSync, writeSync } from 'node:fs';
import { logByComplaining } from '../host/complain.ts';
import { returnFreedMemory } from '../host/linux/allocator.ts';
import * as libc from '../host/linux/libc.ts';
import { packageVersion } from '../host/package.ts';
import { mountFileSystem } from '../transports/mount.ts';
import { remark, report } from './failure.ts';
import {
  type MountCommandOptions,
  READY,
  READY_DESCRIPTOR,
  SERVER_VARIABLE,
  type ServerInput,
} from './server-input.ts';

const STANDARD_ERROR = 2;

async function serve(
  { directory, options, settings }: ServerInput,
  onReady: (text: string) => void,
): Promise<void> {
  process.title = 'ipcfs';
  logByComplaining();
  returnFreedMemory();
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
  const mounted = await mountFileSystem({
    directory,
    noExec: options.noexec,
    transport: options.transport,
    fuseModule: options.fuseModule,
    allowOther: options.allowOther,
    version: packageVersion(),
    spinMs: options.spin,
    shmBacking: options.shmBacking,
    sysctls: settings,
  });
  stop = () => {
    mounted.stop();
  };
  if (isUnwanted) stop();
  else onReady(mounted.remark ?? '');
  await mounted.ended;
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
    await serve(input, (text) => {
      writeSync(READY_DESCRIPTOR, `${READY}${text}\n`);
      closeSync(READY_DESCRIPTOR);
      if (process.env['DEBUG'] === undefined) forgetStandardError();
    });
  } catch (error) {
    process.exitCode = report(error);
  }
  exitAfterLibfuse(input.options);
}

/** The caller stops listening once the mount answers: what is written then must go nowhere, not fail. */
function forgetStandardError(): void {
  // Without it, what is written fails, which nobody minds.
  if (libc.libraryFailure !== null) return;
  const nowhere = openSync('/dev/null', 'w');
  libc.dup2(nowhere, STANDARD_ERROR);
  closeSync(nowhere);
}
