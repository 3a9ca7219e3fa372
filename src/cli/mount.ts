import { spawn } from 'node:child_process';
import { closeSync, openSync, writeSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { logByComplaining } from '../host/complain.ts';
import { returnFreedMemory } from '../host/linux/allocator.ts';
import * as libc from '../host/linux/libc.ts';
import { mountFileSystem } from '../transports/mount.ts';
import type { WantedTransport } from '../transports/transport.ts';
import { CommandFailure, EXIT_FAILURE, report } from './failure.ts';
import { mergeSettings, readConfiguration } from './configuration.ts';
import { resolveMountPoint } from './mount-options.ts';
import type { SysctlSetting } from './sysctl-settings.ts';
import { packageVersion } from '../host/package.ts';

export interface MountCommandOptions {
  readonly foreground: boolean;
  readonly transport: WantedTransport;
  readonly fuseModule: string;
  readonly allowOther: boolean;
  readonly noexec: boolean;
  /** In milliseconds. */
  readonly spin: number;
  readonly shmBacking: 'auto' | 'passthrough' | 'cached';
  readonly pipeBuf?: SysctlSetting;
  readonly sysctl: readonly SysctlSetting[];
  /** The path of a configuration file. */
  readonly config?: string;
}

/** Set for the process in the background: the descriptor on which it says how its mount went. */
const READY_DESCRIPTOR_VARIABLE = 'IPCFS_READY_FD';
/** Set for it too: the settings of its mount, as JSON. The configuration file may be a pipe that can be read once. */
const SETTINGS_VARIABLE = 'IPCFS_SETTINGS';
const READY_DESCRIPTOR = 3;
/** What it says then, in a line with the remark that there may be. */
const READY = 'ready ';
const STANDARD_ERROR = 2;

/** `ipcfs mount`: serves in this process with -f, otherwise in one of its own that it waits for. */
export async function mountCommand(directory: string, options: MountCommandOptions): Promise<void> {
  const readyDescriptor = process.env[READY_DESCRIPTOR_VARIABLE];
  const settings = readyDescriptor === undefined ? settingsOf(options) : settingsGiven();
  const path = resolveMountPoint(directory);
  if (readyDescriptor !== undefined)
    await serveInBackground(path, options, settings, Number(readyDescriptor));
  else if (options.foreground) await serveInForeground(path, options, settings);
  else await startBackground(settings);
}

function settingsOf({ pipeBuf, sysctl, config }: MountCommandOptions): readonly SysctlSetting[] {
  const configured = config === undefined ? [] : readConfiguration(config);
  return mergeSettings(configured, [...(pipeBuf === undefined ? [] : [pipeBuf]), ...sysctl]);
}

/** What the process in the foreground has found to be right. */
function settingsGiven(): readonly SysctlSetting[] {
  return JSON.parse(process.env[SETTINGS_VARIABLE] ?? '[]') as SysctlSetting[];
}

async function serve(
  directory: string,
  options: MountCommandOptions,
  settings: readonly SysctlSetting[],
  onReady: (remark: string) => void,
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

async function serveInForeground(
  directory: string,
  options: MountCommandOptions,
  settings: readonly SysctlSetting[],
): Promise<void> {
  try {
    await serve(directory, options, settings, tell);
  } catch (error) {
    process.exitCode = report(error);
  }
  exitAfterLibfuse(options);
}

async function serveInBackground(
  directory: string,
  options: MountCommandOptions,
  settings: readonly SysctlSetting[],
  readyDescriptor: number,
): Promise<void> {
  // Holding a working directory would keep the file system that it is on from being unmounted.
  process.chdir('/');
  try {
    await serve(directory, options, settings, (remark) => {
      writeSync(readyDescriptor, `${READY}${remark}\n`);
      closeSync(readyDescriptor);
      if (process.env['DEBUG'] === undefined) forgetStandardError();
    });
  } catch (error) {
    process.exitCode = report(error);
  }
  exitAfterLibfuse(options);
}

function tell(remark: string): void {
  if (remark !== '') process.stderr.write(`ipcfs: ${remark}\n`);
}

/** The caller stops listening once the mount answers: what is written then must go nowhere, not fail. */
function forgetStandardError(): void {
  // Without it, what is written fails, which nobody minds.
  if (libc.libraryFailure !== null) return;
  const nowhere = openSync('/dev/null', 'w');
  libc.dup2(nowhere, STANDARD_ERROR);
  closeSync(nowhere);
}

/** Starts this program again with the same arguments, and returns once its mount answers. */
async function startBackground(settings: readonly SysctlSetting[]): Promise<void> {
  const main = fileURLToPath(new URL('./main.js', import.meta.url));
  const child = spawn(process.execPath, [...process.execArgv, main, ...process.argv.slice(2)], {
    detached: true,
    // What the server logs is seen with DEBUG only; otherwise it must not hold on to this terminal.
    stdio: ['ignore', 'ignore', process.env['DEBUG'] === undefined ? 'pipe' : 'inherit', 'pipe'],
    env: {
      ...process.env,
      [READY_DESCRIPTOR_VARIABLE]: String(READY_DESCRIPTOR),
      [SETTINGS_VARIABLE]: JSON.stringify(settings),
    },
  });
  const ready = child.stdio[READY_DESCRIPTOR] as NodeJS.ReadableStream & { destroy(): void };
  let said = '';
  let complaint = '';
  child.stderr?.on('data', (chunk: Buffer) => (complaint += chunk.toString()));
  const outcome = await new Promise<'ready' | 'failed'>((resolve, reject) => {
    ready.on('data', (chunk: Buffer) => {
      said += chunk.toString();
      if (said.startsWith(READY) && said.endsWith('\n')) resolve('ready');
    });
    child.on('error', reject);
    child.on('close', () => {
      resolve('failed');
    });
  });
  if (outcome === 'failed') {
    process.stderr.write(complaint);
    process.exitCode = EXIT_FAILURE;
    if (complaint === '' && child.stderr !== null)
      throw new CommandFailure('the server ended without a word');
    return;
  }
  tell(said.slice(READY.length).trim());
  ready.destroy();
  child.stderr?.destroy();
  child.unref();
}
