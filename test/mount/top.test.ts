import { readFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { ipcfs, ipcfsCommand, Scratch } from '../support/cli.ts';
import { describeMount, TestMount } from '../support/mount.ts';
import { type Running, until } from '../support/process.ts';
import { Terminal, type TerminalOptions } from '../support/terminal.ts';

const SMALL = { columns: 80, rows: 24 };
const LARGE = { columns: 200, rows: 60 };
/** Looks often, so that the tests need not wait. */
const top = `${ipcfsCommand} top --interval 0.2`;

describeMount('ipcfs top', () => {
  const scratch = new Scratch();
  let mount: TestMount;
  let terminal: Terminal;
  const lasting = { timeoutMs: 600_000 };
  afterEach(async () => {
    await terminal.stop();
    await scratch.clean();
  });

  /** `ipcfs top` in a terminal, once it shows the mount. */
  async function start(options: TerminalOptions, directory = mount.directory): Promise<void> {
    terminal = await Terminal.start(options);
    await terminal.enter(`${top} ${directory}`);
    await terminal.until(/^\[Pipes \d+\]/m);
  }

  /** The lines from the titles of the table to the next empty line. */
  async function rows(): Promise<string[]> {
    const lines = await terminal.lines();
    const titles = lines.findIndex((line) => /^ +(PIPE|KQUEUE|SEGMENT|PID)[▲▼]? /.test(line));
    return lines.slice(titles + 1, -1).filter((line) => line.trim() !== '');
  }

  /** The names in the first column. */
  async function names(): Promise<string[]> {
    return (await rows()).map((line) => line.slice(1).split(' ')[0]!);
  }

  /** Waits for these names to be the first in the table. */
  async function untilNames(...wanted: string[]): Promise<void> {
    let seen: string[] = [];
    await until(
      async () => {
        seen = (await names()).slice(0, wanted.length);
        return seen.join(' ') === wanted.join(' ');
      },
      () => `${wanted.join(' ')}, and not ${seen.join(' ')}`,
    );
  }

  /** The terminal is as a program finds it: its own screen, a cursor, lines and echo. */
  async function expectRestored(): Promise<void> {
    await until(
      async () => (await terminal.state('alternate_on')) === '0',
      () => 'the first screen',
    );
    expect(await terminal.state('cursor_flag')).toBe('1');
    await terminal.enter('stty -a | tr " " "\\n" | grep -xcE "icanon|echo|isig|icrnl|opost"');
    await terminal.until(/^5$/m);
  }

  describe('on an empty mount', () => {
    beforeAll(async () => {
      mount = await TestMount.start();
    });
    afterAll(() => mount.stop());

    test.each([SMALL, LARGE])(
      'fills a terminal of $columns x $rows and says how to make something',
      async (size) => {
        await start(size);
        const lines = (await terminal.until(/no pipes: 'mkfifo/)).split('\n');
        expect(lines).toHaveLength(size.rows);
        expect(lines[0]).toMatch(
          new RegExp(
            `^ipcfs \\d+\\.\\d+\\.\\d+ on ${mount.directory} +server ${mount.server.pid}, up [\\d.]+ s$`,
          ),
        );
        expect(lines[0]).toHaveLength(size.columns);
        expect(lines.at(-1)).toMatch(/^q quit {2}Tab table {2}.* {2}Enter detail {2}\/ filter {2}s sort/);
        await terminal.press('Tab');
        await terminal.until(/\[Kqueues 0\][^]*no kqueues: 'touch/);
        await terminal.press('Tab');
        await terminal.until(/\[Segments 0\][^]*no segments: 'truncate/);
        await terminal.press('Tab');
        await terminal.until(/\[Waits 0\][^]*no call is blocked/);
        await terminal.press('Tab');
        await terminal.until(/\[Pipes 0\]/);
        await terminal.press('BTab');
        await terminal.until(/\[Waits 0\]/);
      },
    );
  });

  describe('on a mount with a few objects', () => {
    beforeAll(async () => {
      mount = await TestMount.start();
      await mount.output(
        'mkfifo pipes/filled pipes/waiting pipes/direct; touch kqueues/q; printf "in the segment" | dd of=shm/0x1234 status=none',
      );
      mount.start(
        'exec 3<>pipes/filled; printf "%08192d" 0 | tr 0 x | dd bs=4096 status=none >&3; printf "the end" >&3; exec sleep 600',
        lasting,
      );
      mount.start('exec cat pipes/waiting', lasting);
      mount.start(
        'exec 3<>pipes/direct; yes offered | dd bs=100000 iflag=fullblock count=1 status=none >&3',
        lasting,
      );
      mount.start(
        'exec 3<>kqueues/q; echo "add read pipes/filled udata=mine" >&3; exec 5<shm/0x1234; exec sleep 600',
        lasting,
      );
      await mount.untilBlocked('pipes/waiting', 'fifoor');
      await mount.untilBlocked('pipes/direct', 'pipdwt');
      await until(async () => (await mount.table('shm'))[0]!['nattch'] === 1);
      await until(async () => (await mount.pipe('pipes/filled'))['cnt'] === 8199);
    });
    afterAll(() => mount.stop());

    test.each([SMALL, LARGE])(
      'shows them at $columns x $rows, those that somebody waits for first',
      async (size) => {
        await start(size);
        await untilNames('pipes/direct', 'pipes/waiting', 'pipes/filled');
        const screen = await terminal.screen();
        expect(screen).toMatch(/pipes\/direct +█+ +98K +- +- +1 +1 (1w|1 writer) +open/);
        expect(screen).toMatch(/pipes\/waiting +░+ +0 +- +- +1 +0 (1r|1 reader) +no-writer/);
        expect(screen).toMatch(/pipes\/filled +█+░+ +8K +- +- +1 +1 - +open/);
        expect(screen).toMatch(
          /^2 blocked calls, no deadlock, the longest [\d.]+ (s|min).*: (cat|dd) \d+ on pipes\//m,
        );
        expect(screen).toMatch(/^\[Pipes \d+\] Kqueues 1 {2}Segments 1 {2}Waits 2 .*by interest$/m);
        expect((await terminal.lines()).filter((line) => line.length > size.columns)).toEqual([]);
        await terminal.press('Tab');
        await terminal.until(/^>kqueues\/q +1 +1 +1 +0 +\d+ /m);
        await terminal.press('Tab');
        await terminal.until(/^>0x00001234 +\d+ +14 +1 +0 0644 live/m);
        await terminal.press('Tab');
        await terminal.until(/ +\d+ cat +open +pipes\/waiting +[\d.]+ s a writer opens it/m);
      },
    );

    test('the detail pane shows who has a pipe open and its bytes, and takes none', async () => {
      await start(SMALL);
      await untilNames('pipes/direct', 'pipes/waiting', 'pipes/filled');
      const before = await mount.table('pipes');
      await terminal.press('Down', 'Down', 'Enter');
      const screen = await terminal.until(
        /^── pipes\/filled ─+$[^]*open by \d+ sleep \(uid 0\): reads and writes$[^]*^ 8K queued, none taken$/m,
      );
      await terminal.until(/^00000000 {2}78 78 78 78 78 78 78 78 {2}78 78 78 78 78 78 78 78 {2}\|x{16}\|$/m);
      expect(screen.split('\n').every((line) => line.length <= 80)).toBe(true);
      await terminal.press('End');
      await terminal.until(/^00002000 {2}74 68 65 20 65 6e 64 +\|the end\|$/m);
      await terminal.press('PageUp');
      await terminal.until(/^00001f[0-9a-f]0 {2}78/m);
      await terminal.press('k', 'k');
      await terminal.until(
        /^── pipes\/direct ─+$[^]*dd is blocked in write for [\d.]+ [^]*\|offered\.offered\.\|$/m,
      );
      expect(await mount.table('pipes')).toEqual(before);
      await terminal.press('Escape');
      await terminal.until(/Enter detail/);
      expect(await mount.output('timeout 5 head -c 8199 pipes/filled | tail -c 7')).toBe('the end');
      await mount.output('printf "%08192dthe end" 0 | tr 0 x | dd bs=4096 status=none > pipes/filled');
    });

    test('the detail pane shows a segment, its bytes as they change, and no attach of its own', async () => {
      await start(SMALL);
      await terminal.press('Tab', 'Tab', 'Enter');
      await terminal.until(/^── shm\/0x00001234 ─+$[^]*attached 1 times[^]*\|in the segment\|$/m);
      await mount.output('printf IN | dd of=shm/0x1234 conv=notrunc status=none');
      await terminal.until(/\|IN the segment\|/);
      expect((await mount.table('shm'))[0]).toMatchObject({ nattch: 1 });
    });

    test('the detail pane shows what a kqueue watches', async () => {
      await start(LARGE);
      await terminal.press('Tab', 'Enter');
      await terminal.until(/^ pending: read pipes\/filled data=\d+ .*udata=mine$/m);
    });

    test('a deadlock is said on a line of its own, until it is over', async () => {
      await start(SMALL);
      await terminal.until(/^2 blocked calls, no deadlock/m);
      await mount.output('mkfifo pipes/one pipes/two');
      const wait = (mine: string, other: string): Running =>
        mount.start(
          `exec 3<>pipes/${mine}; until [ -e pipes/go ]; do :; done; exec 4>pipes/${other}; read -r <&3`,
          lasting,
        );
      const processes = [wait('one', 'two'), wait('two', 'one')];
      await mount.output('mkfifo pipes/go');
      const pids = processes.map(({ pid }) => pid).sort((a, b) => a - b);
      const screen = await terminal.until(/^DEADLOCK: /m);
      expect(
        /^DEADLOCK: bash (\d+) on pipes\/\S+, bash (\d+) on pipes\/\S+$/m.exec(screen)?.slice(1).map(Number),
      ).toEqual(pids);
      await terminal.press('BTab', 'Enter');
      await terminal.press('/');
      await terminal.type('pipes/one');
      await terminal.press('Enter');
      await terminal.until(/it is part of a deadlock: 'ipcfs waits' tells/);
      await mount.output('echo > pipes/one; echo > pipes/two');
      await terminal.until(/^2 blocked calls, no deadlock/m);
      await mount.output('rm pipes/go pipes/one pipes/two');
    });

    test('bytes that flow are shown as a rate', async () => {
      await start(SMALL);
      await mount.output('mkfifo pipes/flowing');
      const flow = mount.start(
        'exec 3<>pipes/flowing; while :; do printf "%04096d" 0 >&3; head -c 4096 <&3 >/dev/null; done',
        lasting,
      );
      await terminal.until(/pipes\/flowing +\S+ +\S+ +[\d.]+[KM] +[\d.]+[KM] /);
      expect(await terminal.until(/written [\d.]+[KM]\/s, read [\d.]+[KM]\/s/)).toBeTruthy();
      flow.kill('SIGKILL');
      await terminal.until(/pipes\/flowing +\S+ +\S+ +- +- /);
      await terminal.until(/written 0\/s, read 0\/s/);
      await mount.output('rm pipes/flowing');
    });

    test('objects that come and go come and go on the screen', async () => {
      await start(LARGE);
      await mount.output("mkfifo $'pipes/odd \\e[31m name'");
      // Open, so that it has a bar.
      const holder = mount.start('mkfifo pipes/日本; exec 3<>pipes/日本; exec sleep 600', lasting);
      await terminal.until(/pipes\/odd\\040\\033\[31m\\040name /);
      const line = (await terminal.lines()).find((each) => each.includes('日本'))!;
      // Two wide characters: the columns after them stay in line.
      expect(line.indexOf('░')).toBe(
        (await terminal.lines()).find((each) => each.includes('filled'))!.search(/[█░]/) - 2,
      );
      holder.kill('SIGKILL');
      await mount.output('rm pipes/odd* pipes/日本');
      await terminal.until(/^\[Pipes \d+\]/m);
    });

    test('follows the size of the terminal', async () => {
      await start(SMALL);
      await terminal.resize(200, 60);
      await until(async () => {
        const lines = await terminal.lines();
        return lines.length === 60 && lines[0]!.length === 200 && lines[59]!.startsWith('q quit');
      });
      await terminal.resize(72, 12);
      await until(async () => {
        const lines = await terminal.lines();
        return (
          lines.length === 12 &&
          lines[4]!.endsWith(' STATE') &&
          lines[4]!.length <= 72 &&
          lines[11]!.startsWith('q quit')
        );
      });
      await terminal.resize(50, 10);
      await terminal.until(/^ipcfs top needs 72 columns and 12 rows$/);
      await terminal.resize(80, 24);
      await terminal.until(/^q quit/m);
      await untilNames('pipes/direct');
    });

    test('colours bars; with NO_COLOR nothing has a colour or an attribute, and the selection is still marked', async () => {
      await start(SMALL);
      await untilNames('pipes/direct');
      // eslint-disable-next-line no-control-regex -- an escape sequence is what is looked for
      expect(await terminal.colors()).toMatch(/\x1b\[[\d;]*31m/);
      await terminal.stop();
      await start({ ...SMALL, env: { NO_COLOR: '1' } });
      await untilNames('pipes/direct');
      await terminal.press('Enter');
      await terminal.until(/^── pipes\/direct/m);
      expect(await terminal.colors()).not.toContain('\x1b[');
      expect(await terminal.screen()).toMatch(/^>pipes\/direct/m);
    });

    test('in another locale draws with ASCII', async () => {
      await start({ ...SMALL, env: { LC_ALL: 'C' } });
      await terminal.until(/pipes\/direct +#{10} /);
      await terminal.press('Enter');
      const screen = await terminal.until(/^-- pipes\/direct -+$/m);
      expect(screen).toMatch(/^[\x20-\x7e\n]*$/);
    });

    test('another user sees names and numbers, and no bytes of others', async () => {
      terminal = await Terminal.start(SMALL);
      await terminal.enter(`setpriv --reuid 65534 --regid 65534 --clear-groups ${top} ${mount.directory}`);
      await terminal.until(/^\[Pipes \d+\]/m);
      await untilNames('pipes/direct');
      await terminal.press('Enter');
      await terminal.until(/^ only its owner and root may see the bytes$/m);
      expect(await terminal.screen()).not.toContain('offered');
    });

    test.each([
      ['q', 'q'],
      ['Ctrl-C', 'C-c'],
    ])('%s gives the terminal back as it was', async (_, key) => {
      terminal = await Terminal.start(SMALL);
      await terminal.enter('echo before');
      await terminal.enter(`${top} ${mount.directory}; echo "status $?"`);
      await terminal.until(/^\[Pipes \d+\]/m);
      expect(await terminal.state('alternate_on')).toBe('1');
      expect(await terminal.state('cursor_flag')).toBe('0');
      await terminal.press(key);
      await terminal.until(/^before\n[^]*^status 0\nready>$/m);
      await expectRestored();
    });

    test.each([
      ['SIGTERM', 143],
      ['SIGHUP', 129],
      ['SIGINT', 130],
    ] as const)('%s gives the terminal back as it was', async (signal, status) => {
      await start(SMALL);
      const shell = await terminal.state('pane_pid');
      const [pid] = readFileSync(`/proc/${shell}/task/${shell}/children`, 'latin1').split(' ');
      process.kill(Number(pid), signal);
      await terminal.until(/ready>$/);
      await terminal.enter('echo "status $?"');
      await terminal.until(new RegExp(`^status ${status}$`, 'm'));
      await expectRestored();
    });

    test('an error nobody foresaw gives the terminal back as it was, and is told', async () => {
      terminal = await Terminal.start(SMALL);
      const fault = "data:text/javascript,process.on('SIGUSR2',()=>{throw%20new%20Error('unforeseen')})";
      await terminal.enter(`NODE_OPTIONS="--import ${fault}" ${top} ${mount.directory}`);
      await terminal.until(/^\[Pipes \d+\]/m);
      const shell = await terminal.state('pane_pid');
      const [pid] = readFileSync(`/proc/${shell}/task/${shell}/children`, 'latin1').split(' ');
      process.kill(Number(pid), 'SIGUSR2');
      await terminal.until(/ipcfs: internal error, please report it: Error: unforeseen[^]*ready>$/);
      await expectRestored();
    });

    test('Ctrl-Z stops it with the terminal as it was, and fg goes on', async () => {
      await start(SMALL);
      await terminal.press('C-z');
      await terminal.until(/Stopped/);
      await expectRestored();
      await terminal.enter('clear; fg');
      await terminal.until(/^\[Pipes \d+\][^]*^q quit/m);
      expect(await terminal.state('alternate_on')).toBe('1');
      await terminal.press('Tab');
      await terminal.until(/\[Kqueues 1\]/);
      await terminal.press('q');
      await expectRestored();
    });
  });

  describe('on a mount with 500 pipes', () => {
    beforeAll(async () => {
      mount = await TestMount.start();
      await mount.output('cd pipes; seq -f "p%g" 499 | xargs mkfifo; mkfifo zz-filled');
      mount.start('exec 3<>pipes/zz-filled; printf 0123456789 >&3; exec sleep 600', lasting);
      mount.start('exec 3<>pipes/p77; printf 0123 >&3; exec sleep 600', lasting);
      await until(async () => (await mount.pipe('pipes/zz-filled'))['cnt'] === 10);
      await until(async () => (await mount.pipe('pipes/p77'))['cnt'] === 4);
    });
    afterAll(() => mount.stop());

    test.each([SMALL, LARGE])(
      'fills a terminal of $columns x $rows, and goes through all of them',
      async (size) => {
        await start(size);
        await untilNames('pipes/zz-filled', 'pipes/p77', 'pipes/p1', 'pipes/p2');
        // The terminal gets a screen in parts.
        await until(async () => (await names()).length === size.rows - 6);
        await terminal.press('G');
        await terminal.until(/^>pipes\/p499 /m);
        await terminal.press('PageUp');
        await terminal.until(new RegExp(`^>pipes/p${499 - (size.rows - 6 - 1)} `, 'm'));
        await terminal.press('g', 'j', 'j');
        await terminal.until(/^>pipes\/p1 /m);
      },
    );

    test('sorts by each column, and the other way round', async () => {
      await start(SMALL);
      await untilNames('pipes/zz-filled');
      await terminal.press('s');
      await terminal.until(/by PIPE$/m);
      await untilNames('pipes/p1', 'pipes/p2', 'pipes/p3');
      await terminal.press('r');
      await terminal.until(/by PIPE, reversed$/m);
      await untilNames('pipes/zz-filled', 'pipes/p499', 'pipes/p498');
      await terminal.press('s', 's');
      await terminal.until(/by QUEUED$/m);
      await untilNames('pipes/zz-filled', 'pipes/p77');
      await terminal.press('r');
      await untilNames('pipes/p499');
      await terminal.press('S', 'S', 'S');
      await terminal.until(/by interest$/m);
    });

    test('filters as one types; Enter keeps the filter, Esc takes it back', async () => {
      await start(SMALL);
      await terminal.press('/');
      await terminal.type('P49');
      await terminal.until(/filter: P49_ \(11\)/);
      await untilNames('pipes/p49', 'pipes/p490', 'pipes/p491');
      expect(await names()).toHaveLength(11);
      await terminal.press('BSpace', 'BSpace', 'BSpace');
      await terminal.type('q');
      await terminal.until(/filter: q_ \(0\)[^]*nothing with 'q' in it: Esc shows all/);
      await terminal.press('Escape');
      await untilNames('pipes/zz-filled', 'pipes/p77');
      await terminal.press('/');
      await terminal.type('zz');
      await terminal.press('Enter');
      await terminal.until(/filter: zz \(1\)/);
      await terminal.press('Enter');
      await terminal.until(/\|0123456789\|/);
      await terminal.press('Escape', 'Escape');
      await until(async () => (await names()).length === 18);
    });
  });

  describe('when the mount ends', () => {
    test.each([
      ['by kill -9 of the server', 'SIGKILL'],
      ['by umount', 'SIGTERM'],
    ] as const)('%s, says so in one line, and gives the terminal back', async (_, signal) => {
      const directory = scratch.directory();
      const pid = await scratch.mount(directory);
      terminal = await Terminal.start(SMALL);
      await terminal.enter(`${top} ${directory}; echo "status $?"`);
      await terminal.until(/^\[Pipes 0\]/m);
      process.kill(pid, signal);
      await terminal.until(/^status 1$/m);
      const lines = (await terminal.lines()).filter((line) => line.startsWith('ipcfs: '));
      expect(lines).toHaveLength(1);
      expect((await terminal.screen()).replaceAll('\n', '')).toContain(
        `ipcfs: the mount on ${directory} has ended: mount it again`,
      );
      await expectRestored();
    });

    test('a server that hangs is said to; the keys work on, and so does the view when it goes on', async () => {
      const directory = scratch.directory();
      const pid = await scratch.mount(directory);
      await start(SMALL, directory);
      process.kill(pid, 'SIGSTOP');
      await terminal.press('Tab');
      await terminal.until(/\[Kqueues/);
      await terminal.until(/^no answer from the server: /m);
      process.kill(pid, 'SIGCONT');
      await terminal.until(/^no blocked calls$/m);
      process.kill(pid, 'SIGSTOP');
      await terminal.press('q');
      await terminal.until(/ready>$/);
      process.kill(pid, 'SIGCONT');
    });
  });

  describe('refuses in one line', () => {
    beforeAll(async () => {
      mount = await TestMount.start();
    });
    afterAll(() => mount.stop());

    test('where there is no terminal, and names ipcfs status', async () => {
      terminal = await Terminal.start(SMALL);
      const { status, stdout, stderr } = await ipcfs(['top', mount.directory]);
      expect([status, stdout]).toEqual([1, '']);
      expect(stderr).toBe(
        `ipcfs: top needs a terminal that it can draw on: 'ipcfs status ${mount.directory}' prints the same once\n`,
      );
      for (const command of [
        `${top} ${mount.directory} | cat`,
        `${top} ${mount.directory} < /dev/null`,
        `TERM=dumb ${top} ${mount.directory}`,
      ]) {
        await terminal.enter(`clear; (set -o pipefail; ${command}); echo "status $?"`);
        expect(await terminal.until(/^status 1$/m)).toContain(
          'ipcfs: top needs a terminal that it can draw on',
        );
      }
    });

    test('a directory that is no mount, and an interval that is none', async () => {
      terminal = await Terminal.start(SMALL);
      await terminal.enter(`clear; ${top} /tmp; echo "status $?"`);
      expect(await terminal.until(/^status 1$/m)).toMatch(/^ipcfs: \/tmp is no ipcfs mount/m);
      for (const interval of ['0', '0.01', '61', '1s', '-1', '']) {
        const { status, stderr } = await ipcfs(['top', '--interval', interval, mount.directory]);
        expect([interval, status]).toEqual([interval, 2]);
        expect(stderr).toMatch(/^ipcfs: .*interval.*\n$/);
      }
    });
  });
});
