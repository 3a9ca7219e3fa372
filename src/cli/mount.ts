import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { WantedTransport } from '../transports/transport.ts';
import { CommandFailure, EXIT_FAILURE } from './failure.ts';
import { resolveMountPoint } from './mount-options.ts';
import type { SysctlSetting } from './sysctl-setting.ts';

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
export const READY = 'ready ';

/** `ipcfs mount`: serves in this process with -f, otherwise in one of its own that it waits for. */
export async function mountCommand(directory: string, options: MountCommandOptions): Promise<void> {
  const readyDescriptor = process.env[READY_DESCRIPTOR_VARIABLE];
  const settings = readyDescriptor === undefined ? await settingsOf(options) : settingsGiven();
  const path = resolveMountPoint(directory);
  if (readyDescriptor === undefined && !options.foreground) {
    await startBackground(settings);
    return;
  }
  const { serveInBackground, serveInForeground } = await import('./serve.ts');
  if (readyDescriptor === undefined) await serveInForeground(path, options, settings);
  else await serveInBackground(path, options, settings, Number(readyDescriptor));
}

async function settingsOf({
  pipeBuf,
  sysctl,
  config,
}: MountCommandOptions): Promise<readonly SysctlSetting[]> {
  if (pipeBuf === undefined && sysctl.length === 0 && config === undefined) return [];
  // Settings are tried on a whole tree, which is loaded for them only.
  const { mergeSettings, readConfiguration } = await import('./configuration.ts');
  const configured = config === undefined ? [] : readConfiguration(config);
  return mergeSettings(configured, [...(pipeBuf === undefined ? [] : [pipeBuf]), ...sysctl]);
}

/** What the process in the foreground has found to be right. */
function settingsGiven(): readonly SysctlSetting[] {
  return JSON.parse(process.env[SETTINGS_VARIABLE] ?? '[]') as SysctlSetting[];
}

/** A remark about a mount that answers; there may be none. */
export function tell(remark: string): void {
  if (remark !== '') process.stderr.write(`ipcfs: ${remark}\n`);
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
