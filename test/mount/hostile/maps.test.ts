import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { whyNoCompiler } from '../../support/c-program.ts';
import { describeMount, TestMount } from '../../support/mount.ts';
import { run, until } from '../../support/process.ts';
import { alice, asUser, bob } from '../../support/users.ts';

const source = fileURLToPath(new URL('../../support/programs/map-many.c', import.meta.url));
const noCompiler = whyNoCompiler('/usr/include/linux/fuse.h');

/** For a run by hand: HOSTILE_SECONDS=60 HOSTILE_PROCESSES=20. */
const SECONDS = Number(process.env['HOSTILE_SECONDS'] ?? 4);
const PROCESSES = Number(process.env['HOSTILE_PROCESSES'] ?? 3);
const MAPS = Number(process.env['HOSTILE_MAPS'] ?? 65_000);
/** Twice of what a server has that is left alone. */
const RESIDENT_LIMIT_KIB = 300 * 1024;
/** Of another user's calls, half; by hand, on a quiet machine, it is far less. */
const MEDIAN_LIMIT_MS = 20;

function residentKib(pid: number): number {
  return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))![1]);
}

describeMount('a user whose processes map a file below endless names', () => {
  test.each([['with'], ['without']])(
    '[SEC-19] takes neither the server nor its memory nor the time of others, %s a limit of its data',
    async (limited) => {
      expect(noCompiler).toBeNull();
      const directory = mkdtempSync(join(tmpdir(), 'ipcfs-hostile-'));
      chmodSync(directory, 0o777);
      expect((await run('gcc', ['-Wall', '-Werror', '-o', join(directory, 'map-many'), source])).stderr).toBe(
        '',
      );
      const wrapper = limited === 'with' ? ['prlimit', '--data=1024000000', '--'] : [];
      const mount = await TestMount.start([], { wrapper });
      try {
        const attack = mount.start(
          asUser(
            alice,
            `mkdir ${directory}/names && exec ${directory}/map-many ${directory}/names ${MAPS} ${PROCESSES}`,
          ),
          { timeoutMs: 600_000 },
        );
        await until(
          () => attack.stdout.split('\n').length > PROCESSES,
          () => `mappings: ${attack.stdout}${attack.stderr}`,
        );
        await mount.output('echo "get 1 4096 create 666" > shm/ctl; mkfifo -m 666 pipes/other');
        const readers = [alice, alice].map((user) =>
          mount.start(
            asUser(user, 'while :; do cat info/shm > /dev/null; head -c 1 shm/1 > /dev/null; done'),
            {
              timeoutMs: 600_000,
            },
          ),
        );
        const other = await mount.driver({ ...bob });
        const pipe = await other.open('pipes/other', 'rw');
        const times: number[] = [];
        let mostKib = 0;
        const endMs = performance.now() + SECONDS * 1000;
        while (performance.now() < endMs) {
          for (let call = 0; call < 100; call++) {
            const beginMs = performance.now();
            await other.write(pipe, 'x');
            await other.read(pipe, 1);
            times.push((performance.now() - beginMs) / 2);
          }
          mostKib = Math.max(mostKib, residentKib(mount.server.child.pid!));
          await delay(5);
        }
        times.sort((one, two) => one - two);
        const at = (part: number): number =>
          times[Math.min(times.length - 1, Math.floor(times.length * part))]!;
        if (SECONDS > 10)
          console.log({ mostKib, median: at(0.5), p99: at(0.99), longest: at(1), count: times.length });
        expect(mount.server.isFinished).toBe(false);
        expect(mostKib).toBeLessThan(RESIDENT_LIMIT_KIB);
        expect(at(0.5)).toBeLessThan(MEDIAN_LIMIT_MS);
        // Who cannot be looked at is not left out in silence.
        expect((await mount.table('shm'))[0]!['mapped-by']).toBe('?');
        for (const running of [attack, ...readers]) running.kill('SIGKILL');
      } finally {
        await mount.stop();
        rmSync(directory, { recursive: true, force: true });
      }
    },
    (SECONDS + 60) * 1000,
  );
});
