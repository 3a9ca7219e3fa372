import { rmdirSync } from 'node:fs';
import { expect } from 'vitest';
import { EEXIST, EINVAL } from '../../src/kern/errno.ts';
import { ipcfs } from '../support/cli.ts';
import { nobody } from '../support/shm-files.ts';
import { isMounted } from '../support/cli.ts';
import { until } from '../support/process.ts';
import type { Case } from './case.ts';

const ROUNDS = 2000;
const LATE_ROUNDS = 5;
const UMOUNT_LIMIT_MS = 2000;

export const treeCases: readonly Case[] = [
  {
    name: 'mkdir, mv, ln, ln -s, chmod, find and rmdir work in pipes/',
    run: `mkdir -p pipes/d/e; mkfifo pipes/d/a; mv pipes/d/a pipes/d/e/b; ln pipes/d/e/b pipes/c; ln -s d/e/b pipes/s; chmod 600 pipes/c
      test "$(stat -c '%a %h' pipes/d/e/b)" = '600 2'; test "$(readlink pipes/s)" = d/e/b; test "$(stat -Lc '%a %h' pipes/s)" = '600 2'
      test "$(find pipes | wc -l)" = 6; rm pipes/c pipes/s pipes/d/e/b; rmdir pipes/d/e pipes/d; echo ok`,
  },
  {
    name: 'two names of a pipe have one inode number, which info/pipes shows',
    needs: ['inodeNumbers'],
    run: `mkfifo pipes/a; ln pipes/a pipes/b; inode=$(stat -c %i pipes/a); test "$(stat -c %i pipes/b)" = $inode; test "$(awk '$1 == "pipes/a" { print $2 }' info/pipes)" = $inode
      rm pipes/a pipes/b; echo ok`,
    without: `mkfifo pipes/a; ln pipes/a pipes/b; test "$(stat -c %i pipes/a)" != "$(stat -c %i pipes/b)"; test "$(stat -c %h pipes/a)" = 2; rm pipes/a pipes/b; echo ok`,
  },
  {
    name: 'names in UTF-8 come back as they were',
    run: `mkfifo 'pipes/größe 日本'; test "$(ls pipes)" = 'größe 日本'; grep -q 'größe' info/pipes; rm 'pipes/größe 日本'; echo ok`,
  },
  {
    name: 'names of any bytes come back as they were',
    needs: ['anyName'],
    run: `mkfifo $'pipes/\\xff'; test "$(ls -b pipes)" = '\\377'; rm $'pipes/\\xff'; echo ok`,
    without: `mkfifo $'pipes/\\xff' 2>&1 | grep -q 'Invalid or incomplete multibyte'; test -z "$(ls pipes)"; echo ok`,
  },
  {
    name: 'ls -lR, du, df and stat -f do not wait for pipes',
    run: `mkfifo pipes/a; ls -lR . > /dev/null; du . > /dev/null; df . > /dev/null; stat -f . > /dev/null; rm pipes/a; echo ok`,
  },
  {
    name: 'a directory lists pipes, pairs and kqueues as FIFOs, so grep -r leaves them alone',
    run: `mkfifo pipes/a; mkdir pairs/p; touch kqueues/q; test "$(find pipes pairs kqueues -type p | tr '\n' ' ')" = 'pipes/a pairs/p/0 pairs/p/1 kqueues/q '
      test "$(timeout 5 grep -r x pipes pairs kqueues; echo $?)" = 1; rm pipes/a kqueues/q; rmdir pairs/p; echo ok`,
  },
  {
    name: 'git takes nothing of the mount',
    run: `test "$(cat .gitignore)" = '*'; test "$(stat -c '%a %s' .gitignore)" = '444 2'; (echo x > .gitignore) 2>&1 | grep -q denied || test $(id -u) = 0; echo ok`,
  },
  {
    name: 'fixed names cannot be made or removed',
    run: `mkdir d 2>&1 | grep -q 'not permitted'; rm -f kqueue 2>&1 | grep -q 'not permitted'; mv pipes p 2>&1 | grep -q 'not permitted'; echo ok`,
  },
  {
    name: 'a tunable takes an integer, and nothing else',
    run: `was=$(cat sysctl/kern/ipc/pipe_mindirect); echo 16K > sysctl/kern/ipc/pipe_mindirect; test "$(cat sysctl/kern/ipc/pipe_mindirect)" = 16384
      (echo many > sysctl/kern/ipc/pipe_mindirect) 2>&1 | grep -q 'Invalid argument'; echo $was > sysctl/kern/ipc/pipe_mindirect; echo ok`,
  },
  {
    name: 'info/metrics counts calls that sleep, calls that do not, failures and bytes',
    run: `count() { awk -v name="$1" '$1 == name { print $2 }' info/metrics; }
      made='ipcfs_operations_total{operation="mknod"}'; slept='ipcfs_operation_blocked_seconds_count{operation="read"}'
      refused='ipcfs_operation_errors_total{operation="mkdir",errno="EPERM"}'; busy='ipcfs_operation_errors_total{operation="open",errno="ENXIO"}'
      bytes='ipcfs_read_bytes_total{engine="pipe"}'; for name in "$made" "$slept" "$refused" "$busy" "$bytes"; do was+=("$(count "$name")"); done
      mkfifo pipes/a; mkdir none 2> /dev/null || dd if=/dev/null of=pipes/a oflag=nonblock conv=nocreat,notrunc 2> /dev/null || true
      exec 3<>pipes/a; head -c 5 pipes/a > /dev/null & until grep -q piperd info/waits; do :; done; printf hello >&3; wait; exec 3>&-; rm pipes/a
      for name in "$made" "$slept" "$refused" "$busy" "$bytes"; do now+=($(( $(count "$name") - was[\${#now[@]}] ))); done
      echo "\${now[@]}"; test "\${now[*]}" = '1 1 1 1 5'; echo ok`,
  },
  {
    name: 'touch -d sets both times',
    run: `mkfifo pipes/a; touch -d '2020-01-02 03:04:05 UTC' pipes/a; test "$(stat -c '%X %Y' pipes/a)" = '1577934245 1577934245'; rm pipes/a; echo ok`,
  },
  {
    name: 'touch -m sets the modification time and not the access time',
    needs: ['separateTimes'],
    run: `mkfifo pipes/a; touch -d @1000 pipes/a; touch -m -d @2000 pipes/a; test "$(stat -c '%X %Y' pipes/a)" = '1000 2000'; rm pipes/a; echo ok`,
    without: `mkfifo pipes/a; touch -d @1000 pipes/a; touch -m -d @2000 pipes/a; test "$(stat -c '%X %Y' pipes/a)" = '1000 1000'; rm pipes/a; echo ok`,
  },
  {
    name: 'RENAME_NOREPLACE replaces nothing, RENAME_EXCHANGE swaps two pipes',
    needs: ['renameFlags'],
    async run(mount) {
      const driver = await mount.driver();
      await mount.output('mkfifo -m 600 pipes/a; mkfifo -m 640 pipes/b');
      const call = { call: 'renameat2', from: 'pipes/a', to: 'pipes/b' } as const;
      expect((await driver.call({ ...call, flags: 1 })).result).toBe(-EEXIST);
      expect((await driver.call({ ...call, flags: 2 })).result).toBe(0);
      expect(await mount.output('stat -c %a pipes/a pipes/b')).toBe('640\n600\n');
      await mount.endDrivers();
      await mount.output('rm pipes/a pipes/b');
    },
    async without(mount) {
      const driver = await mount.driver();
      await mount.output('mkfifo pipes/a');
      const call = { call: 'renameat2', from: 'pipes/a', to: 'pipes/b', flags: 1 } as const;
      expect((await driver.call(call)).result).toBe(-EINVAL);
      await mount.endDrivers();
      await mount.output('rm pipes/a');
    },
  },
  {
    name: `a close is seen by the next call, ${ROUNDS} times`,
    needs: ['orderedClose'],
    async run(mount) {
      const driver = await mount.driver();
      const path = await mount.fifo('a');
      const crowd = Array.from({ length: 3 }, () =>
        mount.start('while exec 3<>pipes/b; do exec 3>&-; done', { timeoutMs: 60_000 }),
      );
      await until(async () => (await mount.sh('grep -q pipes/b info/pipes')).status === 0);
      const fd = await driver.open(path, 'rn');
      expect((await driver.call({ call: 'closeRace', path, fd, rounds: ROUNDS })).result).toBe(0);
      await mount.endDrivers();
      for (const other of crowd) other.kill('SIGKILL');
      await Promise.all(crowd.map((other) => other.finished()));
      await mount.output(`rm ${path} pipes/b`);
    },
    async without(mount) {
      const driver = await mount.driver();
      const path = await mount.fifo('a');
      for (let round = 0; round < LATE_ROUNDS; round++) {
        const fd = await driver.open(path, 'rw');
        expect(await mount.pipe(path)).toMatchObject({ readers: 1, writers: 1 });
        await driver.close(fd);
        await until(async () => (await mount.pipe(path))['writers'] === 0);
      }
      await mount.endDrivers();
      await mount.output(`rm ${path}`);
    },
  },
  {
    name: 'other users are let in, each with his own rights',
    needs: ['callerUser'],
    async run(mount) {
      expect(await mount.output('mkfifo pipes/a; stat -c %u pipes/a', nobody)).toBe(`${nobody.uid}\n`);
      await mount.output('rm pipes/a');
    },
    async without(mount) {
      const { status } = await mount.sh(`ls ${mount.directory}`, { cwd: '/', ...nobody });
      expect(status).not.toBe(0);
      const refused = await ipcfs(['mount', '--transport', 'fuse-native', '--allow-other', '/tmp']);
      expect(refused).toMatchObject({ status: 1, stdout: '' });
      expect(refused.stderr).toMatch(/^ipcfs: --allow-other needs .*: use --transport raw\n$/);
    },
  },
  {
    name: 'ipcfs umount answers calls that wait, and ends within 2 s',
    async run(_mount, startOwn) {
      const own = await startOwn();
      const path = await own.fifo('a');
      await own.output('mkfifo pipes/b');
      const readers = Array.from({ length: 10 }, () => own.start(`exec cat ${path}`));
      const waiter = own.start('exec 3<>kqueue; read -r event <&3');
      const writer = own.start('exec 3<>pipes/b; exec dd if=/dev/zero bs=100000 count=1 status=none >&3');
      await own.untilBlocked(path, 'fifoor', readers.length);
      await own.untilBlocked('kqueue', 'kqread');
      await own.untilBlocked('pipes/b', 'pipdwt');
      const startMs = performance.now();
      expect(await ipcfs(['umount', own.directory])).toMatchObject({ status: 0, stdout: '', stderr: '' });
      expect(performance.now() - startMs).toBeLessThan(UMOUNT_LIMIT_MS);
      expect(isMounted(own.directory)).toBe(false);
      for (const call of readers) {
        const { status, stderr } = await call.finished();
        expect({ status, stderr }).toEqual({
          status: 1,
          stderr: expect.stringContaining('Interrupted system call') as string,
        });
      }
      for (const call of [waiter, writer]) expect((await call.finished()).signal).toBe(null);
      expect(await own.server.finished()).toMatchObject({ status: 0 });
      rmdirSync(own.directory);
    },
  },
];
