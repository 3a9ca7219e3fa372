import { CommandFailure, EXIT_FAILURE, remark } from '../failures.ts';
import { resolveMountPoint } from './mount-options.ts';
import type { MountCommandOptions, ServerInput, ServingOptions } from './server-input.ts';
import { hasFailed, startServer } from './start-server.ts';
import type { SysctlSetting } from './sysctl-setting.ts';

/** `ipcfs mount`: serves in this process with -f, otherwise in one of its own that it waits for. */
export async function mountCommand(directory: string, options: MountCommandOptions): Promise<void> {
  const settings = await settingsOf(options);
  const input = { directory: await resolveMountPoint(directory), options, settings, isPrivate: false };
  if (!options.foreground) {
    await startBackground(input);
    return;
  }
  const { serveInForeground } = await import('./serve.ts');
  await serveInForeground(input);
}

/** The tunables that the options set; fails when one cannot be. Reads the configuration file. */
export async function settingsOf({
  pipeBuf,
  sysctl,
  config,
}: ServingOptions): Promise<readonly SysctlSetting[]> {
  if (pipeBuf === undefined && sysctl.length === 0 && config === undefined) return [];
  // Settings are tried on a whole tree, which is loaded for them only.
  const { mergeSettings, readConfiguration } = await import('./configuration.ts');
  const configured = config === undefined ? [] : readConfiguration(config);
  return mergeSettings(configured, [...(pipeBuf === undefined ? [] : [pipeBuf]), ...sysctl]);
}

/** Starts the server as a process of its own, with the arguments that people know it by, and returns once its mount answers. */
async function startBackground(input: ServerInput): Promise<void> {
  const server = await startServer(input, process.argv.slice(2));
  if (hasFailed(server)) {
    process.stderr.write(server.failure);
    process.exitCode = EXIT_FAILURE;
    if (server.failure === '' && process.env['DEBUG'] === undefined)
      throw new CommandFailure('the server ended without a word');
    return;
  }
  remark(server.remark);
  server.link.destroy();
  server.child.stderr?.destroy();
  server.child.unref();
}
