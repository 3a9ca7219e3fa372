import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { findProgram } from '../../host/find-program.ts';
import { packageVersion } from '../../host/package.ts';
import { CommandFailure } from '../failures.ts';
import { cSource } from './cflags.ts';

const OTHERS_WRITE = 0o022;
const COMPILE_TIMEOUT_MS = 60_000;
const DIGEST_DIGITS = 12;

/** The variables with which a program has our functions for its C library's. Compiles the library if that has not been done. */
export async function preloadEnvironment({ pipes }: { pipes: boolean }): Promise<Record<string, string>> {
  const library = await preloadLibrary(pipes);
  const others = process.env['LD_PRELOAD'];
  return { LD_PRELOAD: others === undefined || others === '' ? library : `${library}:${others}` };
}

/** The path of the library in the user's cache: one for each version of its source. */
async function preloadLibrary(pipes: boolean): Promise<string> {
  const folder = cacheFolder();
  const library = join(folder, `preload${pipes ? '-pipes' : ''}-${sourceDigest()}.so`);
  // The loader takes blanks and colons for ends of names.
  if (/[\s:]/.test(library)) {
    throw new CommandFailure(
      `the loader cannot use a library in ${folder}: set XDG_CACHE_HOME to a path without blanks`,
    );
  }
  if (!existsSync(library)) await compile(library, pipes);
  return library;
}

/** A directory that nobody else writes: what lies there is loaded into the command. */
function cacheFolder(): string {
  const base = process.env['XDG_CACHE_HOME'];
  const folder = join(base?.startsWith('/') === true ? base : join(homedir(), '.cache'), 'ipcfs');
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new CommandFailure(
      `${folder} cannot be made (${code ?? 'unknown error'}): set XDG_CACHE_HOME to a directory of yours`,
    );
  }
  const { uid, mode } = lstatSync(folder);
  if (uid !== process.geteuid!() || (mode & OTHERS_WRITE) !== 0) {
    throw new CommandFailure(`others can write to ${folder}: set XDG_CACHE_HOME to a directory of yours`);
  }
  return folder;
}

/** Changes with the version, the machine, and each source. */
function sourceDigest(): string {
  const hash = createHash('sha256').update(`${packageVersion()} ${process.arch} `);
  const headers = ['ipcfs', 'sys'].flatMap((folder) =>
    readdirSync(cSource(`include/${folder}`))
      .sort()
      .map((name) => `include/${folder}/${name}`),
  );
  for (const name of ['preload.c', ...headers]) hash.update(readFileSync(cSource(name)));
  return `${packageVersion()}-${hash.digest('hex').slice(0, DIGEST_DIGITS)}`;
}

async function compile(library: string, pipes: boolean): Promise<void> {
  const compiler = ['cc', 'gcc', 'clang'].map(findProgram).find((path) => path !== null);
  if (compiler === undefined) {
    throw new CommandFailure(
      '--preload compiles a small library once, and there is no C compiler (cc): install one, as with apt-get install gcc libc6-dev',
    );
  }
  // Others may compile it now too: each puts a whole file in its place.
  const unfinished = `${library}.${process.pid}`;
  const options = ['-shared', '-fPIC', '-O2', '-pthread', ...(pipes ? ['-DIPCFS_PRELOAD_PIPES'] : [])];
  const words = [...options, `-I${cSource('include')}`, '-o', unfinished, cSource('preload.c')];
  try {
    await promisify(execFile)(compiler, words, { timeout: COMPILE_TIMEOUT_MS });
    renameSync(unfinished, library);
  } catch (error) {
    const { stderr = '', message } = error as Error & { stderr?: string };
    const line = stderr.split('\n').find((text) => text.includes('error')) ?? message.split('\n')[0]!;
    throw new CommandFailure(`${compiler} cannot compile the library of --preload: ${line}`);
  } finally {
    rmSync(unfinished, { force: true });
  }
}
