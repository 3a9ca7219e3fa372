import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ipcfs } from '../../support/cli.ts';
import { describeMount, TestMount } from '../../support/mount.ts';
import { until } from '../../support/process.ts';
import { alice, asUser } from '../../support/users.ts';

/** One of each kind: C0, DEL, C1 as a byte and in UTF-8, bidirectional controls, separators of lines and of paragraphs. */
const PARTS = [
  ...['\\e[2J\\e]0;x\\a', '\\x7f', '\\x9b31m', '\\xc2\\x9b31m', '\\u061c', '\\u200e\\u200f'],
  ...[
    '\\u202a\\u202b\\u202c\\u202d\\u202e',
    '\\u2066\\u2067\\u2068\\u2069',
    '\\u2028',
    '\\u2029',
    '\\n',
    '\\r',
  ],
];
/** What nobody's terminal may get; lines end as they do, and `status` draws bars. */
// eslint-disable-next-line no-control-regex -- control characters are what is looked for
const FORBIDDEN = /[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029]/;
/** In a change there are no control characters. */
const WATCHED = PARTS.filter((part) => part.startsWith('\\u')).map((part) => `w${part}w`);

describeMount('text that a person sees', () => {
  let mount: TestMount;
  /** In which everybody may make files. */
  const scratch = mkdtempSync(join(tmpdir(), 'ipcfs-names-'));
  chmodSync(scratch, 0o777);
  beforeAll(async () => {
    mount = await TestMount.start();
    const names = PARTS.map((part) => `$'n${part}n'`).join(' ');
    const watched = WATCHED.map((name) => `$'${name}'`).join(' ');
    // A program's own name is shown too.
    const script = `export LC_ALL=C.UTF-8; umask 0; mkfifo pipes/plain
      for name in ${names} ${watched}; do
        mkfifo "pipes/$name"; mkdir "pairs/$name"; touch "kqueues/$name"
        exec {fd}<>"pipes/$name" {other}<>"kqueues/$name" {pair}<>"pairs/$name/0"
      done
      exec {queue}<>kqueue
      for name in ${watched}; do echo "add read pipes/$name udata=$name" >&$queue; done
      for name in ${names}; do
        cp /bin/cat "${scratch}/$name"
        "${scratch}/$name" "pipes/$name" > /dev/null &
      done
      echo ready; wait`;
    const attacker = mount.start(asUser(alice, script), { timeoutMs: 120_000 });
    await until(
      () => attacker.stdout === 'ready\n',
      () => attacker.stderr,
      60_000,
    );
    await until(async () => (await mount.table('waits')).length === PARTS.length, undefined, 60_000);
  }, 120_000);
  afterAll(async () => {
    rmSync(scratch, { recursive: true });
    await mount.stop();
  });

  const decode = (bytes: string): string =>
    new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(bytes, 'latin1'));

  test('[SEC-20] no table of info/ has anything that steers, turns or hides text, and all are UTF-8', async () => {
    const listed = (await mount.output('ls -I content -I trace -I trace.json info')).trim().split('\n');
    expect(listed.length).toBeGreaterThan(20);
    for (const name of listed) {
      const text = decode(
        Buffer.from(await mount.output(`base64 info/${name}`), 'base64').toString('latin1'),
      );
      expect([name, FORBIDDEN.exec(text)]).toEqual([name, null]);
    }
  });

  test('each name is there, escaped byte by byte, and stands for itself in JSON', async () => {
    const text = await mount.output('cat info/pipes');
    for (const name of [
      'n\\033[2J',
      'n\\177n',
      'n\\23331mn',
      'n\\302\\23331mn',
      'n\\330\\234n',
      'n\\342\\200\\250n',
    ])
      expect(text).toContain(`pipes/${name}`);
    const paths = (await mount.table('pipes')).map((row) => String(row['path']));
    for (const name of ['n\x7fn', 'n\u061cn', 'n\u2028n', 'n\u202a\u202b\u202c\u202d\u202en'])
      expect(paths).toContain(`pipes/${name}`);
    const knotes = await mount.output('cat info/knotes');
    expect(knotes).toContain('pipes/w\\342\\200\\250w');
    expect(knotes).toContain(' w\\342\\200\\250w\n');
    const commands = (await mount.output("grep -v ' outside ' info/waits")).split('\n').slice(1, -1);
    expect(commands.filter((line) => line.split(/ +/)[6]!.includes('\\'))).toHaveLength(PARTS.length);
  });

  test.each([['status'], ['status', '--json'], ['waits'], ['waits', '--json'], ['waits', '--check']])(
    '[SEC-20] ipcfs %s %s has nothing either',
    async (...args) => {
      const { stdout, stderr } = await ipcfs([...args, mount.directory], {
        env: { LC_ALL: 'C.UTF-8' },
      });
      expect(stdout.length + stderr.length).toBeGreaterThan(args.includes('--check') ? -1 : 1000);
      expect(FORBIDDEN.exec(decode(stdout + stderr))).toBeNull();
    },
  );

  test('[SEC-20] events, refusals and complaints of commands have nothing either', async () => {
    const { directory } = mount;
    const odd = 'pipes/w\u202a\u202b\u202c\u202d\u202ew';
    const file = join(scratch, 'odd\u202e.conf');
    writeFileSync(file, 'kern.\u202e\u009b=x\n');
    for (const [args, expected] of [
      [['wait', directory, '--timeout', '2000', `add write ${odd} udata=\u2028`], 'udata=\\342\\200\\250'],
      [['wait', directory, '--json', `add write ${odd} udata=\u2028`], '\\u2028'],
      [['wait', directory, 'add read pipes/\u202e'], 'pipes/\\342\\200\\256'],
      [['wait', directory, 'frob \u202e'], '\\342\\200\\256'],
      [['status', '/none/\u202e\u009b'], '/none/\\342\\200\\256\\302\\233'],
      [['umount', '/none/\u202e\n'], '/none/\\342\\200\\256\\012'],
      [['frob\u202e'], 'frob\\342\\200\\256'],
      [['mount', '--config', file, '/none'], 'odd\\342\\200\\256.conf:1'],
    ] as const) {
      const { stdout, stderr } = await ipcfs(args);
      expect(stdout + stderr).toContain(expected);
      expect([args, FORBIDDEN.exec(decode(stdout + stderr))]).toEqual([args, null]);
    }
  }, 120_000);

  test('shells do not offer what would steer the terminal that they show it in', async () => {
    const change = 'add read pipes/';
    const line = `ipcfs wait ${mount.directory} '${change}`;
    const { stdout } = await ipcfs(['__complete', 'bash', '--', line, change]);
    expect(stdout).toContain('pipes/plain');
    // fish takes a tab before descriptions.
    expect(FORBIDDEN.exec(decode(stdout.replaceAll('\t', ' ')))).toBeNull();
  });
});
