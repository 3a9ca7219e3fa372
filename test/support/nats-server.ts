import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe } from 'vitest';
import { describeMount } from './mount.ts';
import { Running, until } from './process.ts';

/** Debian's place for daemons may not be in a user's PATH. */
const PROGRAM = ['nats-server', '/usr/sbin/nats-server'].find(
  (program) => spawnSync(program, ['--version']).status === 0,
);

/** Mount tests that need a NATS server. With CI set a missing one fails. */
export function describeBridge(name: string, body: () => void): void {
  if (PROGRAM !== undefined || process.env['CI'] !== undefined) describeMount(name, body);
  else describe.skip(`${name} (there is no nats-server)`, body);
}

/** A port of the loopback interface that nobody has at this moment. */
async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
  const { port } = probe.address() as { port: number };
  await new Promise((resolve) => probe.close(resolve));
  return port;
}

/** A server with JetStream whose store outlives its restarts. */
export class NatsServer {
  readonly #directory = mkdtempSync(join(tmpdir(), 'ipcfs-nats-'));
  readonly #address: string;
  readonly #port: number;
  readonly #wrapper: readonly string[];
  readonly #args: readonly string[];
  #server: Running | null = null;

  private constructor(address: string, port: number, wrapper: readonly string[], args: readonly string[]) {
    this.#address = address;
    this.#port = port;
    this.#wrapper = wrapper;
    this.#args = args;
  }

  /** `wrapper`: what comes before the command, as of a network namespace; `address`: where it listens there. */
  static async start({
    wrapper = [],
    address = '127.0.0.1',
    port,
    args = [],
  }: {
    readonly wrapper?: readonly string[];
    readonly address?: string;
    readonly port?: number;
    readonly args?: readonly string[];
  } = {}): Promise<NatsServer> {
    const server = new NatsServer(address, port ?? (await freePort()), wrapper, args);
    await server.begin();
    return server;
  }

  /** What a bridge connects to. */
  url(subject: string, host = this.#address): string {
    return `nats://${host}:${this.#port}/${subject}`;
  }

  /** What it has logged since it began. */
  get log(): string {
    return this.#server?.stderr ?? '';
  }

  async begin(): Promise<void> {
    if (PROGRAM === undefined) throw new Error('there is no nats-server: run scripts/install-test-tools.sh');
    const args = [
      '-a',
      this.#address,
      '-p',
      String(this.#port),
      '-js',
      '-sd',
      this.#directory,
      ...this.#args,
    ];
    const [command, ...rest] = [...this.#wrapper, PROGRAM, ...args] as [string, ...string[]];
    const server = new Running(command, rest, { timeoutMs: 900_000 });
    this.#server = server;
    await until(
      () => server.stderr.includes('Server is ready') || server.isFinished,
      () => `the NATS server: ${server.stderr}`,
    );
    if (server.isFinished) throw new Error(`the NATS server has ended: ${server.stderr}`);
  }

  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    this.#server?.kill(signal);
    await this.#server?.finished();
    this.#server = null;
  }

  async clean(): Promise<void> {
    await this.end('SIGKILL');
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
