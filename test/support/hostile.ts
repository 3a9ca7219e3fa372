import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { compileC } from './c-program.ts';
import { TestMount } from './mount.ts';
import type { User } from './namespace.ts';
import { type Finished, Running, type RunOptions, until } from './process.ts';
import { alice, bob } from './users.ts';

const victimProgram = fileURLToPath(new URL('../../dist/test/support/victim.js', import.meta.url));

/**
 * The command that starts another, in a session of its own, with this priority. Where Linux groups processes by session, it divides its
 * processors among the groups first. The bounds are about the server, and not about how Linux divides its processors.
 */
const withPriority = (niceness: number): string[] => [
  ...[
    'sh',
    '-c',
    `[ ! -e /proc/self/autogroup ] || echo ${niceness} > /proc/self/autogroup; exec nice -n ${niceness} "$@"`,
    'sh',
  ],
];
const firstPriority = withPriority(-20);
const lastPriority = withPriority(19);
const identityOf = ({ uid, gid }: User): string[] => [
  ...['setpriv', '--reuid', String(uid), '--regid', String(gid), '--clear-groups', '--'],
];

const MIB = 1024 * 1024;
/** A stall that the server causes comes each time, one that the machine causes does not. */
const ROUNDS = 3;
/** How long the victim may take for the calls that it is in when the attack ends. */
const LAST_CALLS_TIMEOUT_MS = 20_000;

interface CallTimes {
  readonly calls: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

const quoted = (word: string): string => `'${word.replaceAll("'", String.raw`'\''`)}'`;

/** What an attack did to the server and to another user. */
export interface Damage {
  readonly isServerAlive: boolean;
  /** The most that the server had resident meanwhile. */
  readonly peakResidentBytes: number;
  /** The victim's calls; null when it never came back from one. */
  readonly victim: {
    readonly calls: CallTimes;
    /** Messages between two processes outside the mount, at the same time: the delay of the machine itself. */
    readonly machine: CallTimes;
    readonly failures: readonly string[];
  } | null;
}

export interface Bounds {
  readonly residentBytes: number;
  /** Beyond the delay of the machine itself. */
  readonly p99Ms: number;
  readonly maxMs: number;
  /** Fewer calls of the victim than this say that it was not served; it makes five a round. */
  readonly calls: number;
}

/** What SECURITY.md promises. */
export const promisedBounds: Bounds = { residentBytes: 300 * MIB, p99Ms: 5, maxMs: 50, calls: 50 };

/** Which bounds an attack broke, one sentence each; none for a server that withstood it. */
export function brokenBounds(
  { isServerAlive, peakResidentBytes, victim }: Damage,
  bounds: Partial<Bounds> = {},
): string[] {
  const { residentBytes, p99Ms, maxMs, calls } = { ...promisedBounds, ...bounds };
  const broken: string[] = [];
  if (!isServerAlive) broken.push('the server ended');
  if (peakResidentBytes > residentBytes)
    broken.push(`the server had ${Math.round(peakResidentBytes / MIB)} MiB resident`);
  if (victim === null) return [...broken, 'another user hangs in a call'];
  const { calls: seen, machine, failures } = victim;
  if (failures.length > 0) broken.push(`calls of another user failed with ${failures.join(', ')}`);
  if (seen.calls < calls) broken.push(`another user made ${seen.calls} calls`);
  for (const [name, bound, time, own] of [
    ['99 % of the calls of another user', p99Ms, seen.p99Ms, machine.p99Ms],
    ['the longest call of another user', maxMs, seen.maxMs, machine.maxMs],
  ] as const) {
    if (time > bound + own)
      broken.push(`${name}: ${time.toFixed(1)} ms (the machine alone: ${own.toFixed(1)} ms)`);
  }
  return broken;
}

/** Root's mount for all users, an attacker (alice, with the lowest priority), and a victim (bob, with the first) whose calls are timed. */
export class HostileMount {
  readonly mount: TestMount;
  /** The process that serves the mount. */
  readonly serverPid: number;
  /** A directory outside the mount in which everybody may make files. */
  readonly scratch: string;

  private constructor(mount: TestMount, serverPid: number) {
    this.mount = mount;
    this.serverPid = serverPid;
    this.scratch = mkdtempSync(join(tmpdir(), 'ipcfs-hostile-'));
    chmodSync(this.scratch, 0o777);
  }

  /** `dataBytes`: the limit of the server's data (`ulimit -d`), none when not given. */
  static async start({
    args = [],
    dataBytes,
  }: { args?: readonly string[]; dataBytes?: number } = {}): Promise<HostileMount> {
    const limit = dataBytes === undefined ? [] : ['prlimit', `--data=${dataBytes}`];
    const mount = await TestMount.start(args, { wrapper: [...firstPriority, ...limit] });
    const serverPid = Number((await mount.table('version'))[0]!['pid']);
    await mount.output(
      'mkdir -m 700 pipes/victim; mkfifo -m 600 pipes/victim/pipe; chown -R 1002:1002 pipes/victim',
    );
    return new HostileMount(mount, serverPid);
  }

  /** The program test/support/attacks/NAME.c, compiled. */
  program(name: string): string {
    const path = join(this.scratch, name);
    if (!existsSync(path))
      compileC(readFileSync(new URL(`attacks/${name}.c`, import.meta.url), 'utf8'), path);
    return path;
  }

  /** Starts a script of the attacker in the mount's root; it ends with the mount at the latest. */
  start(script: string, user: User = alice, options: RunOptions = {}): Running {
    const running = this.mount.start(
      `exec ${[...lastPriority, ...identityOf(user), 'bash', '-c', script].map(quoted).join(' ')}`,
      { timeoutMs: 120_000, ...options },
    );
    running.child.stdin!.end();
    return running;
  }

  /** Runs a script of the attacker to its end. */
  attack(script: string, user: User = alice, options: RunOptions = {}): Promise<Finished> {
    return this.start(script, user, options).finished();
  }

  /** Times the victim's calls while `attack` goes on. */
  async during(attack: () => Promise<unknown>): Promise<Damage> {
    // From now on VmHWM is the peak of the attack alone.
    writeFileSync(`/proc/${this.serverPid}/clear_refs`, '5');
    const [command, ...words] = [
      ...[...firstPriority, ...identityOf(bob), process.execPath, victimProgram],
      this.mount.path('pipes/victim/pipe'),
    ] as const;
    const victim = new Running(command, words, { timeoutMs: 300_000 });
    await until(
      () => victim.stdout === 'ready\n' || victim.isFinished,
      () => victim.stderr,
    );
    try {
      await attack();
    } finally {
      victim.child.stdin!.end();
    }
    const late = setTimeout(() => {
      victim.kill('SIGKILL');
    }, LAST_CALLS_TIMEOUT_MS);
    const { status, stdout } = await victim.finished();
    clearTimeout(late);
    const peak = this.#peakResidentBytes();
    return {
      isServerAlive: peak !== null && !this.mount.server.isFinished,
      peakResidentBytes: peak ?? 0,
      victim: status === 0 ? (JSON.parse(stdout.split('\n')[1]!) as NonNullable<Damage['victim']>) : null,
    };
  }

  /**
   * The bounds that an attack breaks, as `brokenBounds` does. It is repeated when only bounds of time were broken: those that it breaks
   * every time count.
   */
  async brokenBy(attack: () => Promise<unknown>, bounds: Partial<Bounds> = {}): Promise<string[]> {
    for (let round = 1; ; round++) {
      const damage = await this.during(attack);
      const broken = brokenBounds(damage, bounds);
      const isLasting = brokenBounds(damage, { ...bounds, p99Ms: Infinity, maxMs: Infinity }).length > 0;
      if (broken.length === 0 || isLasting || round === ROUNDS) return broken;
    }
  }

  #peakResidentBytes(): number | null {
    try {
      const status = readFileSync(`/proc/${this.serverPid}/status`, 'latin1');
      const kib = /^VmHWM:\s+(\d+)/m.exec(status)?.[1];
      return kib === undefined ? null : 1024 * Number(kib);
    } catch {
      return null;
    }
  }

  /** Resident bytes of the server now. */
  residentBytes(): number {
    const status = readFileSync(`/proc/${this.serverPid}/status`, 'latin1');
    return 1024 * Number(/^VmRSS:\s+(\d+)/m.exec(status)![1]);
  }

  async stop(): Promise<void> {
    try {
      await this.mount.stop();
    } finally {
      rmSync(this.scratch, { recursive: true, force: true });
    }
  }
}
