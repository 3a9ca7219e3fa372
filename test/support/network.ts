import { run, Running, until } from './process.ts';

/** A network namespace of its own. It ends, with its interfaces, when its holder does. */
class NetworkNamespace {
  readonly #holder: Running;

  private constructor(holder: Running) {
    this.#holder = holder;
  }

  static async start(): Promise<NetworkNamespace> {
    const holder = new Running('unshare', ['-n', 'bash', '-c', 'ip link set lo up && echo ready && read'], {
      timeoutMs: 900_000,
    });
    await until(
      () => holder.stdout.endsWith('ready\n') || holder.isFinished,
      () => `a network namespace: ${holder.stderr}`,
    );
    if (holder.isFinished) throw new Error(`no network namespace: ${holder.stderr}`);
    return new NetworkNamespace(holder);
  }

  get pid(): number {
    return this.#holder.pid;
  }

  /** What comes before a command to run it in here. */
  get wrapper(): string[] {
    return ['nsenter', '-t', String(this.pid), '-n', '--'];
  }

  async ip(line: string): Promise<void> {
    const { status, stderr } = await run('nsenter', [...this.wrapper.slice(1), 'ip', ...line.split(' ')]);
    if (status !== 0) throw new Error(`ip ${line}: ${stderr}`);
  }

  end(): void {
    this.#holder.kill('SIGKILL');
  }
}

/** A machine of a star. */
export interface Machine {
  /** What comes before a command to run it there. */
  readonly wrapper: readonly string[];
  /** The hub's address, as this machine sees it. */
  readonly hubAddress: string;
}

/** Network namespaces around a hub, each with a link of its own. */
export class Star {
  readonly #hub: NetworkNamespace;
  readonly #namespaces: NetworkNamespace[] = [];
  readonly machines: Machine[] = [];

  private constructor(hub: NetworkNamespace) {
    this.#hub = hub;
  }

  static async start(count: number): Promise<Star> {
    const star = new Star(await NetworkNamespace.start());
    for (let number = 1; number <= count; number++) await star.#add(number);
    return star;
  }

  /** Why there can be none here; null when there can. */
  static async missing(): Promise<string | null> {
    try {
      const star = await Star.start(1);
      star.end();
      return null;
    } catch (error) {
      return (error as Error).message.trim();
    }
  }

  get hubWrapper(): readonly string[] {
    return this.#hub.wrapper;
  }

  async #add(number: number): Promise<void> {
    const namespace = await NetworkNamespace.start();
    this.#namespaces.push(namespace);
    const network = `10.83.${number}`;
    await this.#hub.ip(`link add machine${number} type veth peer name hub netns ${namespace.pid}`);
    await this.#hub.ip(`address add ${network}.1/24 dev machine${number}`);
    await this.#hub.ip(`link set machine${number} up`);
    await namespace.ip(`address add ${network}.2/24 dev hub`);
    await namespace.ip('link set hub up');
    this.machines.push({ wrapper: namespace.wrapper, hubAddress: `${network}.1` });
  }

  /** Cuts all links, or joins them again. */
  async setLinks(state: 'up' | 'down'): Promise<void> {
    for (const index of this.machines.keys()) await this.#hub.ip(`link set machine${index + 1} ${state}`);
  }

  end(): void {
    for (const namespace of this.#namespaces) namespace.end();
    this.#hub.end();
  }
}
