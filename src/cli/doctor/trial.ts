import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hasFailed, reasonOf, startServer } from '../mount/start-server.ts';
import type { Finding } from './finding.ts';

const DEFAULT_SPIN_MS = 0.05;

/** Mounts on a directory of its own and unmounts: a filter of system calls or a security module shows in no file. */
export async function trialFinding(fuseModule: string): Promise<Finding> {
  const found = (isFine: boolean, detail: string): Finding => ({
    what: 'trial mount',
    isFine,
    isNeeded: true,
    detail,
  });
  let directory: string;
  try {
    directory = realpathSync(mkdtempSync(join(tmpdir(), 'ipcfs-doctor-')));
  } catch (error) {
    const { code = 'unknown error' } = error as NodeJS.ErrnoException;
    return found(
      false,
      `no directory can be created in ${tmpdir()} (${code}): set TMPDIR to a directory of yours`,
    );
  }
  const startMs = performance.now();
  const options = {
    transport: 'auto',
    ioUring: 'off',
    fuseModule,
    spin: DEFAULT_SPIN_MS,
    shmBacking: 'auto',
    sysctl: [],
    foreground: false,
    allowOther: false,
    noexec: false,
  } as const;
  const server = await startServer({ directory, options, settings: [], isPrivate: true }, [
    'mount',
    directory,
  ]);
  if (hasFailed(server)) {
    rmSync(directory, { recursive: true, force: true });
    return found(false, reasonOf(server.failure));
  }
  const seconds = (performance.now() - startMs) / 1000;
  const ended = new Promise((resolve) => server.child.once('exit', resolve));
  // The server unmounts and removes the directory when its starter closes the link.
  server.link.destroy();
  await ended;
  return found(true, `mounted in ${seconds.toFixed(1)} s, and unmounted`);
}
