import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { CommandFailure, EXIT_FAILURE, remark } from './failure.ts';
import { resolveMountPoint } from './mount-options.ts';
import {
  type MountCommandOptions,
  READY,
  READY_DESCRIPTOR,
  SERVER_VARIABLE,
  type ServerInput,
} from './server-input.ts';
import type { SysctlSetting } from './sysctl-setting.ts';

/** `ipcfs mount`: serves in this process with -f, otherwise in one of its own that it waits for. */
export async function mountCommand(directory: string, options: MountCommandOptions): Promise<void> {
  const settings = await settingsOf(options);
  const input: ServerInput = { directory: resolveMountPoint(directory), options, settings };
  if (!options.foreground) {
    await startBackground(input);
    return;
  }
  const { serveInForeground } = await import('./serve.ts');
  await serveInForeground(input);
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

/** Starts the server as a process of its own, with the arguments that people know it by, and returns once its mount answers. */
async function startBackground(input: ServerInput): Promise<void> {
  const main = fileURLToPath(new URL('./main.js', import.meta.url));
  const child = spawn(process.execPath, [...process.execArgv, main, ...process.argv.slice(2)], {
    detached: true,
    // What the server logs is seen with DEBUG only; otherwise it must not hold on to this terminal.
    stdio: ['ignore', 'ignore', process.env['DEBUG'] === undefined ? 'pipe' : 'inherit', 'pipe'],
    env: { ...process.env, [SERVER_VARIABLE]: JSON.stringify(input) },
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
  remark(said.slice(READY.length).trim());
  ready.destroy();
  child.stderr?.destroy();
  child.unref();
}
