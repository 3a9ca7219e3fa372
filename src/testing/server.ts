import type { ChildProcess } from 'node:child_process';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, realpathSync, rmdirSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { ServerInput } from '../cli/mount/server-input.ts';
import { hasFailed, MAIN, reasonOf, type StartedServer, startServer } from '../cli/mount/start-server.ts';
import { hasHelper, NAMESPACE_COMMAND } from '../cli/test-run/mount-rights.ts';
import { CAP_SYS_ADMIN, hasCapability } from '../host/linux/processes/capabilities.ts';
import { MountFailure } from '../transports/common/transport.ts';

/** So long after its connection a server ends. */
const END_NOTICE_MS = 500;
const END_TIMEOUT_MS = 3000;
const KILL_TIMEOUT_MS = 2000;
const DIRECTORY_PREFIX = 'ipcfs-test-';

/**
 * The server of one mount, in a process of its own. It ends when this process does, however that ends, or when the worker thread ends
 * that has started it: their ends of the socket close. It does not keep the process alive.
 */
export class TestServer {
  /** Where this process and its children find the mount. */
  readonly directory: string;
  /** Where the server has mounted, in its own mount namespace. */
  readonly #mountPoint: string;
  readonly #child: ChildProcess;
  readonly #link: Socket;
  readonly #complaint: () => string;
  readonly #ended: Promise<void>;

  private constructor(mountPoint: string, directory: string, { child, link, complaint }: StartedServer) {
    this.#mountPoint = mountPoint;
    this.directory = directory;
    this.#child = child;
    this.#link = link;
    this.#complaint = complaint;
    this.#ended = new Promise((resolve) => {
      child.once('exit', () => {
        resolve();
      });
    });
    child.unref();
    link.unref();
    // A socket, which the types of Node do not say.
    (child.stderr as Socket | null)?.unref();
  }

  /**
   * Mounts on a new directory below the temporary one. Without the right to mount, the server makes namespaces for itself, and the mount
   * is reached through them. Throws a MountFailure that says what to do.
   */
  static async start(input: Omit<ServerInput, 'directory' | 'isPrivate'>): Promise<TestServer> {
    if (process.platform !== 'linux') throw new MountFailure('ipcfs/testing needs Linux: use mount of ipcfs');
    const isAdmin = hasCapability('CapEff', CAP_SYS_ADMIN);
    const mayEnter = !isAdmin && input.options.transport !== 'fuse-native';
    const mayMount = isAdmin || hasHelper();
    const failures: string[] = [];
    if (mayMount || !mayEnter) {
      const server = await attempt(input, []);
      if (server instanceof TestServer) return server;
      failures.push(server);
    }
    if (mayEnter) {
      const server = await attempt(input, NAMESPACE_COMMAND);
      if (server instanceof TestServer) return server;
      failures.push(server);
    }
    throw new MountFailure(failures.join('; and in a user namespace: '));

    async function attempt(
      wanted: Omit<ServerInput, 'directory' | 'isPrivate'>,
      wrapper: readonly string[],
    ): Promise<TestServer | string> {
      const mountPoint = realpathSync(mkdtempSync(join(tmpdir(), DIRECTORY_PREFIX)));
      try {
        const server = await startServer(
          { ...wanted, directory: mountPoint, isPrivate: true },
          ['mount', mountPoint],
          { wrapper, nodeOptions: [], environment: serverEnvironment() },
        );
        if (!hasFailed(server)) {
          const root = wrapper.length === 0 ? '' : `/proc/${server.child.pid!}/root`;
          return new TestServer(mountPoint, root + mountPoint, server);
        }
        removeDirectory(mountPoint);
        return reasonOf(server.failure);
      } catch (error) {
        removeDirectory(mountPoint);
        const { code } = error as NodeJS.ErrnoException;
        return code === 'ENOENT' && wrapper.length > 0
          ? `${wrapper[0]!}, of util-linux, is not installed: run as root, or install fuse3`
          : `the server cannot be started (${code ?? String(error)})`;
      }
    }
  }

  /** After a call on the mount has failed: why the mount has ended; null when its server runs. */
  async lastWords(): Promise<string | null> {
    // The calls fail before the process has ended.
    if (!(await this.#endsWithin(END_NOTICE_MS))) return null;
    const words = this.#complaint().trim().split('\n').at(-1)!;
    return words === '' ? 'its server was killed' : words;
  }

  /** Unmounts, whatever state the server is in. Calls that wait in the mount end. Throws when the mount cannot be taken away. */
  async stop(): Promise<void> {
    this.#child.ref();
    this.#link.destroy();
    if (!(await this.#endsWithin(END_TIMEOUT_MS))) {
      this.#child.kill('SIGKILL');
      await this.#endsWithin(KILL_TIMEOUT_MS);
    }
    if (isMounted(this.#mountPoint)) {
      const { status, stderr } = spawnSync(process.execPath, [MAIN, 'umount', this.#mountPoint], {
        encoding: 'utf8',
      });
      if (status !== 0)
        throw new MountFailure(`${this.#mountPoint} cannot be unmounted: ${reasonOf(stderr)}`);
    }
    removeDirectory(this.#mountPoint);
  }

  async #endsWithin(timeoutMs: number): Promise<boolean> {
    const timer = new AbortController();
    const late = delay(timeoutMs, false, { signal: timer.signal }).catch(() => false);
    const isOver = await Promise.race([this.#ended.then(() => true), late]);
    timer.abort();
    return isOver;
  }
}

/** The server is not the program under test: what observes that must not load into it. */
function serverEnvironment(): NodeJS.ProcessEnv {
  const environment = { ...process.env };
  for (const name of ['NODE_OPTIONS', 'NODE_V8_COVERAGE', 'NODE_TEST_CONTEXT'])
    Reflect.deleteProperty(environment, name);
  return environment;
}

/** By the kernel's table: the mount may hang. */
function isMounted(directory: string): boolean {
  const escaped = directory.replaceAll(
    /[ \t\n\\]/g,
    (c) => `\\${c.charCodeAt(0).toString(8).padStart(3, '0')}`,
  );
  return readFileSync('/proc/self/mounts', 'utf8').includes(` ${escaped} `);
}

function removeDirectory(directory: string): void {
  try {
    rmdirSync(directory);
  } catch {
    // The server has done so.
  }
}
