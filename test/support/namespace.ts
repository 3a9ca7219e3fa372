import { readFileSync } from 'node:fs';
import { type Finished, run, Running, until } from './process.ts';

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

  /** Runs a program in it to its end. */
  run(command: string, args: readonly string[], { uid, gid } = rootUser): Promise<Finished> {
    const identity = ['--reuid', String(uid), '--regid', String(gid), '--clear-groups', '--'];
    const enter = ['-t', String(this.#holder.pid), '-m', '--', 'setpriv', ...identity];
    return run('nsenter', [...enter, command, ...args]);
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
