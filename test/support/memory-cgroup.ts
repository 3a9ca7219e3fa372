import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { until } from './process.ts';

interface Hierarchy {
  readonly directory: string;
  readonly limitFile: string;
  /** The file that counts the processes which Linux has ended. */
  readonly killsFile: string;
}

function findHierarchy(): Hierarchy | string {
  const mounts = readFileSync('/proc/self/mountinfo', 'latin1');
  const second = /^(?:\S+ ){4}(\S+) [^\n]* - cgroup2 /m.exec(mounts)?.[1];
  if (second !== undefined) {
    try {
      if (readFileSync(join(second, 'cgroup.subtree_control'), 'latin1').split(/\s/).includes('memory'))
        return { directory: second, limitFile: 'memory.max', killsFile: 'memory.events' };
    } catch {
      // Perhaps there is the first version.
    }
  }
  const first = /^(?:\S+ ){4}(\S+) [^\n]* - cgroup \S+ (?:\S+,)?memory(?:,\S+)?$/m.exec(mounts)?.[1];
  if (first === undefined) return 'no memory controller of control groups is mounted';
  return { directory: first, limitFile: 'memory.limit_in_bytes', killsFile: 'memory.oom_control' };
}

/** A control group with a limit of memory, for one server. */
export class MemoryCgroup {
  readonly #hierarchy: Hierarchy;
  readonly #directory: string;

  private constructor(hierarchy: Hierarchy, directory: string) {
    this.#hierarchy = hierarchy;
    this.#directory = directory;
  }

  /** Why none can be made here; null when one can. */
  static missing(): string | null {
    const made = MemoryCgroup.make('probe', 2 ** 30);
    if (typeof made === 'string') return made;
    rmdirSync(made.#directory);
    return null;
  }

  static make(name: string, limitBytes: number): MemoryCgroup | string {
    const hierarchy = findHierarchy();
    if (typeof hierarchy === 'string') return hierarchy;
    const directory = join(hierarchy.directory, `ipcfs-test-${process.pid}-${name}`);
    try {
      mkdirSync(directory);
      writeFileSync(join(directory, hierarchy.limitFile), String(limitBytes));
    } catch (error) {
      return `control groups cannot be made: ${(error as Error).message}`;
    }
    return new MemoryCgroup(hierarchy, directory);
  }

  /** A command that starts another within the group. */
  get wrapper(): readonly string[] {
    return ['sh', '-c', `echo $$ > '${this.#directory}/cgroup.procs' && exec "$@"`, 'sh'];
  }

  /** Processes that Linux has ended for going beyond the limit. */
  killCount(): number {
    const text = readFileSync(join(this.#directory, this.#hierarchy.killsFile), 'latin1');
    return Number(/^oom_kill (\d+)$/m.exec(text)![1]);
  }

  /** Once nobody is in it any more. */
  async remove(): Promise<void> {
    await until(() => {
      try {
        rmdirSync(this.#directory);
        return true;
      } catch {
        return false;
      }
    });
  }
}
