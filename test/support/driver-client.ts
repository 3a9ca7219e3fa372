import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { errnoName } from '../../src/kern/errno.ts';
import {
  type DriverCall,
  type DriverResult,
  F_SETFL,
  O_NONBLOCK,
  O_RDONLY,
  O_RDWR,
  O_WRONLY,
  PROT_READ_WRITE,
} from './driver-protocol.ts';
import { Running, type RunOptions, until } from './process.ts';

const driverProgram = fileURLToPath(new URL('../../dist/test/support/driver.js', import.meta.url));

/** Linux's numbers of poll, ppoll, select, pselect6, epoll_wait, epoll_pwait and epoll_pwait2. */
const WAITING_CALLS: Readonly<Record<string, readonly number[]>> = {
  x64: [7, 271, 23, 270, 232, 281, 441],
  arm64: [73, 72, 22, 441],
};

/** A call that has been sent to a driver; `result` is null while it blocks. */
export class PendingCall {
  result: DriverResult | null = null;
  readonly promise: Promise<DriverResult>;
  settle: (result: DriverResult) => void = () => undefined;

  constructor() {
    this.promise = new Promise((resolve) => {
      this.settle = (result) => {
        this.result = result;
        resolve(result);
      };
    });
  }
}

/** The test's side of a driver process. */
export class Driver {
  readonly #running: Running;
  readonly #pending: PendingCall[] = [];
  #read = 0;

  private constructor(running: Running) {
    this.#running = running;
    running.child.stdout!.on('data', () => {
      this.#takeLines();
    });
    running.child.on('close', (status, signal) => {
      for (const call of this.#pending) {
        call.settle({ result: NaN, text: `the driver ended with ${signal ?? String(status)}`, elapsedMs: 0 });
      }
    });
  }

  /** `wrapper`: a command that starts it elsewhere, or as somebody else. */
  static async start(options: RunOptions, wrapper: readonly string[] = []): Promise<Driver> {
    const words = [...wrapper, process.execPath, driverProgram];
    const driver = new Driver(new Running(words[0]!, words.slice(1), { timeoutMs: 120_000, ...options }));
    const hello = new PendingCall();
    driver.#pending.push(hello);
    const { result, text } = await hello.promise;
    if (result !== 0) throw new Error(`${text ?? ''}: ${driver.#running.stderr}`);
    return driver;
  }

  get pid(): number {
    return this.#running.pid;
  }

  /** Sends a call without waiting for it. */
  begin(request: DriverCall): PendingCall {
    const call = new PendingCall();
    this.#pending.push(call);
    this.#running.child.stdin!.write(JSON.stringify(request) + '\n');
    return call;
  }

  call(request: DriverCall): Promise<DriverResult> {
    return this.begin(request).promise;
  }

  /** open(2): modes r, w, rw; a further n is O_NONBLOCK. A number, or it throws. */
  async open(path: string, mode: string, moreFlags = 0): Promise<number> {
    const access = mode.startsWith('rw') ? O_RDWR : mode.startsWith('w') ? O_WRONLY : O_RDONLY;
    const flags = access | (mode.endsWith('n') ? 0o4000 : 0) | moreFlags;
    const { result } = await this.call({ call: 'open', path, flags });
    if (result < 0) throw new Error(`open(${path}, ${mode}) failed with ${errnoName(result)}`);
    return result;
  }

  close(fd: number): Promise<DriverResult> {
    return this.call({ call: 'close', fd });
  }

  read(fd: number, count: number): Promise<DriverResult> {
    return this.call({ call: 'read', fd, count });
  }

  write(fd: number, text: string): Promise<DriverResult> {
    return this.call({ call: 'write', fd, text });
  }

  writePattern(fd: number, count: number): Promise<DriverResult> {
    return this.call({ call: 'writePattern', fd, count });
  }

  /** The revents of one descriptor, at once. */
  async poll(fd: number, events: number, timeoutMs = 0): Promise<number> {
    const { events: revents } = await this.call({ call: 'poll', fds: [{ fd, events }], timeoutMs });
    return revents![0]!;
  }

  /** A shared mapping: its number, or it throws. */
  async map(fd: number, length: number, protection = PROT_READ_WRITE): Promise<number> {
    const { result } = await this.call({ call: 'mmap', fd, length, protection });
    if (result < 0) throw new Error(`mmap failed with ${errnoName(result)}`);
    return result;
  }

  /** Loads `count` bytes from a mapping. */
  async peek(mapping: number, offset: number, count: number): Promise<string> {
    return (await this.call({ call: 'peek', mapping, offset, count })).text!;
  }

  /** Stores bytes into a mapping. */
  poke(mapping: number, offset: number, text: string): Promise<DriverResult> {
    return this.call({ call: 'poke', mapping, offset, text });
  }

  ioctl(fd: number, request: number, argument = 0): Promise<DriverResult> {
    return this.call({ call: 'ioctl', fd, request, argument });
  }

  async setNonBlocking(fd: number, nonBlocking = true): Promise<void> {
    const argument = nonBlocking ? O_NONBLOCK : 0;
    const { result } = await this.call({ call: 'fcntl', fd, command: F_SETFL, argument });
    if (result < 0) throw new Error(`fcntl failed with ${errnoName(result)}`);
  }

  /** Waits for the driver to be inside poll, select or epoll_wait. */
  async untilPolling(): Promise<void> {
    const numbers = WAITING_CALLS[process.arch] ?? [];
    await until(
      () => numbers.includes(Number.parseInt(readFileSync(`/proc/${this.pid}/syscall`, 'latin1'), 10)),
      () => 'a driver inside poll',
    );
  }

  /** A signal that ends a blocked call with EINTR or its short count. */
  interrupt(): void {
    this.#running.child.kill('SIGUSR1');
  }

  kill(): void {
    this.#running.kill('SIGKILL');
  }

  finished(): Promise<unknown> {
    return this.#running.finished();
  }

  #takeLines(): void {
    for (;;) {
      const end = this.#running.stdout.indexOf('\n', this.#read);
      if (end < 0) return;
      const line = this.#running.stdout.slice(this.#read, end);
      this.#read = end + 1;
      this.#pending.shift()!.settle(JSON.parse(line) as DriverResult);
    }
  }
}
