/**
 * Times another user's small calls: `victim.js PIPE`. A round opens PIPE, writes, reads, stats and closes it; between rounds the program
 * sleeps for a millisecond. After each round it sends one message to a `cat` and back through FIFOs outside the mount, which takes as
 * long as the machine itself makes a call wait. At the end of its input it prints both as JSON.
 */
import { spawn, spawnSync } from 'node:child_process';
import { closeSync, fstatSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const PAUSE_MS = 1;
const message = Buffer.alloc(100, 'v');
const answer = Buffer.alloc(message.length);

class Times {
  #elapsedMs: number[] = [];

  forget(): void {
    this.#elapsedMs = [];
  }

  time<T>(call: () => T): T {
    const startMs = performance.now();
    try {
      return call();
    } finally {
      this.#elapsedMs.push(performance.now() - startMs);
    }
  }

  summary(): { calls: number; p99Ms: number; maxMs: number } {
    const sorted = [...this.#elapsedMs].sort((a, b) => a - b);
    const p99Ms = sorted[Math.floor(sorted.length * 0.99)] ?? Infinity;
    return { calls: sorted.length, p99Ms, maxMs: sorted.at(-1) ?? Infinity };
  }
}

const [pipe] = process.argv.slice(2);
const directory = mkdtempSync(join(tmpdir(), 'ipcfs-victim-'));
const [there, back] = [join(directory, 'there'), join(directory, 'back')];
spawnSync('mkfifo', [there, back]);
const echo = spawn('sh', ['-c', 'exec cat < "$0" > "$1"', there, back], { stdio: 'ignore' });
const [toEcho, fromEcho] = [openSync(there, 'w'), openSync(back, 'r')];
const calls = new Times();
const machine = new Times();
/** Names of the errors that calls failed with. */
const failures = new Set<string>();

function round(): void {
  try {
    const fd = calls.time(() => openSync(pipe!, 'r+'));
    calls.time(() => writeSync(fd, message));
    calls.time(() => readSync(fd, answer));
    calls.time(() => fstatSync(fd));
    calls.time(() => {
      closeSync(fd);
    });
  } catch (error) {
    failures.add((error as NodeJS.ErrnoException).code ?? String(error));
  }
  machine.time(() => {
    writeSync(toEcho, message);
    readSync(fromEcho, answer);
  });
}

let isEnding = false;
process.stdin.on('end', () => (isEnding = true)).resume();
// What the first calls compile and load is not measured.
for (let n = 0; n < 20; n++) round();
calls.forget();
machine.forget();
console.log('ready');
while (!isEnding) {
  round();
  await sleep(PAUSE_MS);
}
console.log(JSON.stringify({ calls: calls.summary(), machine: machine.summary(), failures: [...failures] }));
echo.kill();
rmSync(directory, { recursive: true });
