import { closeSync, mkdtempSync, openSync, realpathSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { CAP_SYS_ADMIN, hasCapability } from '../../host/linux/processes/capabilities.ts';
import { loadPlatform } from '../../host/load-platform.ts';
import { segmentMountsOf } from '../../transports/common/segment-mounts.ts';
import { deviceFailure, FUSE_DEVICE } from '../../transports/common/fuse-device.ts';
import { CommandFailure } from '../failures.ts';
import type { ServingOptions } from '../mount/server-input.ts';
import { isIpcfs } from '../mount/mount-point.ts';
import { hasFailed, reasonOf, startServer, type StartedServer } from '../mount/start-server.ts';
import { takeMountAway } from '../mount/umount.ts';
import { hasHelper } from './mount-rights.ts';
import type { RunMount } from './run-feature.ts';
import { enterNamespaces, type RunFiles } from './user-namespace.ts';

const END_TIMEOUT_MS = 3000;
const KILL_TIMEOUT_MS = 2000;

export interface PrivateMountOptions {
  readonly options: ServingOptions;
  readonly files: RunFiles;
  /** Whether this process has made its own namespaces already. */
  readonly isInNamespace: boolean;
}

/** A mount on a directory of its own, whose server ends with this process, however that ends. */
export class PrivateMount implements RunMount {
  readonly directory: string;
  readonly #server: StartedServer;
  readonly #ended: Promise<void>;

  private constructor(directory: string, server: StartedServer) {
    this.directory = directory;
    this.#server = server;
    this.#ended = new Promise((resolve) => {
      server.child.on('exit', () => {
        resolve();
      });
    });
  }

  /** Mounts; where this process has not the right, starts the program again in namespaces in which it has. */
  static async make({ options, files, isInNamespace }: PrivateMountOptions): Promise<PrivateMount> {
    requireDevice();
    const mayEnter =
      !isInNamespace && options.transport !== 'fuse-native' && !hasCapability('CapEff', CAP_SYS_ADMIN);
    if (mayEnter && !hasHelper()) enterNamespaces(files, 'you may not mount here');
    const directory = makeDirectory();
    const server = await startServer(
      {
        directory,
        options: { ...options, foreground: false, allowOther: false, noexec: false },
        settings: files.settings,
        isPrivate: true,
      },
      ['mount', directory],
    );
    if (!hasFailed(server)) return new PrivateMount(directory, server);
    remove(directory);
    const reason = reasonOf(server.failure);
    if (mayEnter) enterNamespaces(files, reason);
    throw new CommandFailure(reason);
  }

  get serverPid(): number {
    return this.#server.child.pid!;
  }

  get remark(): string {
    return this.#server.remark;
  }

  get ended(): Promise<void> {
    return this.#ended;
  }

  get lastWords(): string {
    return this.#server.complaint().trim().split('\n').at(-1)!;
  }

  /** Unmounts, whatever state the server is in, and removes the directory. False when the mount could not be taken away. */
  async end(): Promise<boolean> {
    this.#server.link.destroy();
    if (!(await this.#hasEnded(END_TIMEOUT_MS))) {
      this.#server.child.kill('SIGKILL');
      await this.#hasEnded(KILL_TIMEOUT_MS);
    }
    const isGone = !isMounted(this.directory) || (await takeMountAway(this.directory, await loadPlatform()));
    if (isGone) remove(this.directory);
    return isGone;
  }

  #hasEnded(timeoutMs: number): Promise<boolean> {
    return Promise.race([this.#ended.then(() => true), delay(timeoutMs, false)]);
  }
}

/** Whether the server has left its mount, or one that belongs to it. */
function isMounted(directory: string): boolean {
  return isIpcfs(directory) || segmentMountsOf(directory).length > 0;
}

/** Namespaces do not help where the device is missing. */
function requireDevice(): void {
  try {
    closeSync(openSync(FUSE_DEVICE, 'r+'));
  } catch (error) {
    throw deviceFailure((error as NodeJS.ErrnoException).errno!);
  }
}

function makeDirectory(): string {
  try {
    return realpathSync(mkdtempSync(join(tmpdir(), 'ipcfs-run-')));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new CommandFailure(
      `no directory can be made in ${tmpdir()} (${code ?? 'unknown error'}): set TMPDIR to a directory of yours`,
    );
  }
}

function remove(directory: string): void {
  try {
    rmdirSync(directory);
  } catch {
    // The server has done so.
  }
}
