import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { mainProgram, TestMount } from '../support/mount.ts';
import { describeBridge, NatsServer } from '../support/nats-server.ts';
import { Running, until } from '../support/process.ts';
import { type Example, examplesOf, isAsStated, MARKS, statedOutput } from '../support/pages.ts';

// The guide to queues across machines, typed into one shell for each machine. What a block starts in the background goes on.

const page = fileURLToPath(new URL('../../native-notes/guide/across-machines.md', import.meta.url));
const examples = examplesOf(readFileSync(page, 'utf8'));
const EXAMPLE_TIMEOUT_MS = 30_000;
const WORKERS = 2;

/** A mount, and a shell in which somebody types. */
class Machine {
  readonly #mount: TestMount;
  readonly #shell: Running;

  private constructor(mount: TestMount, shell: Running) {
    this.#mount = mount;
    this.#shell = shell;
  }

  static async start(environment: Record<string, string>): Promise<Machine> {
    const mount = await TestMount.start();
    const env = { ...environment, IPCFS: mount.directory };
    return new Machine(mount, new Running('bash', [], { cwd: mount.directory, env, timeoutMs: 600_000 }));
  }

  /** Types a block, and waits until the shell is ready for more; what it has printed. */
  async type(text: string): Promise<string> {
    const start = this.#shell.stdout.length;
    this.#shell.child.stdin!.write(`${text}\necho "ready $?"\n`);
    const printed = (): string => this.#shell.stdout.slice(start);
    await until(
      () => /(^|\n)ready \d+\n$/.test(printed()),
      () => `the end of '${text}': ${printed()}${this.#shell.stderr}`,
      EXAMPLE_TIMEOUT_MS,
    );
    return printed().replace(/ready \d+\n$/, '');
  }

  async end(): Promise<void> {
    this.#shell.kill('SIGKILL');
    await this.#shell.finished();
    await this.#mount.stop();
  }
}

describeBridge('the guide to queues across machines', () => {
  const programs = mkdtempSync(join(tmpdir(), 'ipcfs-guide-'));
  let server: NatsServer;
  let first: Machine;
  const workers: Machine[] = [];
  beforeAll(async () => {
    const program = join(programs, 'ipcfs');
    writeFileSync(program, `#!/bin/sh\nexec '${process.execPath}' '${mainProgram}' "$@"\n`);
    chmodSync(program, 0o755);
    server = await NatsServer.start();
    const environment = {
      PATH: `${programs}:${process.env['PATH']!}`,
      SERVER: server.url('').replace(/^nats:\/\/(.*)\/$/, '$1'),
    };
    first = await Machine.start(environment);
    for (let count = 0; count < WORKERS; count++) workers.push(await Machine.start(environment));
  });
  afterAll(async () => {
    for (const machine of [first, ...workers]) await machine.end();
    await server.clean();
    rmSync(programs, { recursive: true });
  });

  function machinesOf({ mark }: Example): readonly Machine[] {
    if (mark === MARKS.onEachWorker) return workers;
    return mark === MARKS.onOneWorker ? workers.slice(0, 1) : [first];
  }

  test.each(
    examples
      .filter(({ language }) => language === 'sh')
      .map((example) => [`across-machines.md:${example.line} ${example.mark}`, example] as const),
  )(
    '%s',
    async (_, example) => {
      const needsMake = /\bmake -s\b/.test(example.text);
      if (needsMake && spawnSync('make', ['--version']).status !== 0) {
        console.log('not run: make is not installed');
        return;
      }
      for (const machine of machinesOf(example)) {
        const printed = await machine.type(example.text);
        const stated = statedOutput(example.text);
        if (!isAsStated(printed, stated)) expect(printed).toBe(stated.map((line) => `${line}\n`).join(''));
      }
    },
    2 * EXAMPLE_TIMEOUT_MS,
  );

  test('every other block is a file for --connection', () => {
    for (const example of examples.filter(({ language }) => language !== 'sh')) {
      expect(() => JSON.parse(example.text) as unknown).not.toThrow();
    }
  });
});
