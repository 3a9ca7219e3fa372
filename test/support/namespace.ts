import { readFileSync } from 'node:fs';
import { type Finished, run, Running, type RunOptions, until } from './process.ts';

export interface User {
  readonly uid: number;
  readonly gid: number;
}

const rootUser: User = { uid: 0, gid: 0 };

/** A mount namespace of its own: what a test changes below /dev or /etc there, nobody else sees. It ends with its processes. */
export class MountNamespace {
  readonly #holder: Running;

  private constructor(holder: Running) {
    this.#holder = holder;
  }

  /** `setup`: a shell script that makes it what the test needs. */
  static async start(setup: string): Promise<MountNamespace> {
    const script = `set -e\n${setup}\necho ready\nread`;
    const holder = new Running('unshare', ['-m', 'bash', '-c', script], { timeoutMs: 120_000 });
    await until(
      () => holder.stdout.endsWith('ready\n'),
      () => `a mount namespace: ${holder.stderr}`,
    );
    return new MountNamespace(holder);
  }

  /**
   * One where every user may open the device, as most systems have it; `directory`: an empty one for this, `setup` as for `start`.
   */
  static startWithDevice(directory: string, setup = ''): Promise<MountNamespace> {
    return MountNamespace.start(`mount -t tmpfs -o mode=755 none '${directory}'
      mknod -m 666 '${directory}/fuse' c 10 229
      mount --bind '${directory}/fuse' /dev/fuse
      ${setup}`);
  }

  /** What comes before a command to run it in here as this user. */
  enter({ uid, gid } = rootUser): string[] {
    const identity = ['--reuid', String(uid), '--regid', String(gid), '--clear-groups', '--'];
    return ['nsenter', '-t', String(this.#holder.pid), '-m', '--', 'setpriv', ...identity];
  }

  /** Runs a program in it to its end. */
  run(
    command: string,
    args: readonly string[],
    user = rootUser,
    options: RunOptions = {},
  ): Promise<Finished> {
    const [program, ...words] = [...this.enter(user), command, ...args] as [string, ...string[]];
    return run(program, words, options);
  }

  /** Whether something is mounted on `directory` in it. */
  isMounted(directory: string): boolean {
    return readFileSync(`/proc/${this.#holder.pid}/mounts`, 'latin1').includes(` ${directory} `);
  }

  async end(): Promise<void> {
    this.#holder.kill('SIGKILL');
    await this.#holder.finished();
  }
}
