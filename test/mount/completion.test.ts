import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { complete, optionsOf, visibleCommands } from '../../src/cli/completion/complete.ts';
import { SHELLS } from '../../src/cli/completion/names.ts';
import { program } from '../../src/cli/program.ts';
import { ipcfs, Scratch } from '../support/cli.ts';
import { describeMount, mainProgram } from '../support/mount.ts';
import { run, until } from '../support/process.ts';
import { Terminal } from '../support/terminal.ts';

const completions = fileURLToPath(new URL('../../dist/completions', import.meta.url));

describeMount('completion in the shells', () => {
  const scratch = new Scratch();
  const terminals: Terminal[] = [];
  let terminal: Terminal;
  let cwd = '';
  let env: Record<string, string> = {};

  beforeEach(async () => {
    cwd = scratch.directory();
    mkdirSync(join(cwd, 'bin'));
    mkdirSync(join(cwd, 'mnt'));
    symlinkSync(mainProgram, join(cwd, 'bin/ipcfs'));
    env = { PATH: `${join(cwd, 'bin')}:${process.env['PATH']!}`, HOME: cwd, HISTFILE: '' };
    await scratch.mount(join(cwd, 'mnt'));
    await run(
      'touch',
      ['alpha', 'beta'].map((name) => join(cwd, 'mnt/pipes', name)),
    );
  });
  afterEach(async () => {
    for (const started of terminals.splice(0)) await started.stop();
    await run('umount', ['-l', join(cwd, 'mnt')]);
    await scratch.clean();
  });

  async function startShell(command: readonly string[]): Promise<void> {
    terminal = await Terminal.start({ command, cwd, env });
    terminals.push(terminal);
  }

  /** Types a line and Tab at an empty prompt, and waits for what the line becomes. A mark shows blanks at its end. */
  async function expectLine(typed: string, completed: string): Promise<void> {
    await terminal.press('C-u');
    await terminal.type(typed);
    await terminal.press('Tab');
    await terminal.type('@');
    const pattern = completed.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
    await terminal.until(new RegExp(`^> ${pattern}@$`, 'm'));
  }

  async function expectCompletions(): Promise<void> {
    await expectLine('ipcfs um', 'ipcfs umount ');
    await expectLine('ipcfs mount --allow', 'ipcfs mount --allow-other ');
    await expectLine('ipcfs mount --shm-backing pa', 'ipcfs mount --shm-backing passthrough ');
    await expectLine('ipcfs mount --shm-backing=ca', 'ipcfs mount --shm-backing=cached ');
    await expectLine('ipcfs mount --sysctl kern.ipc.shmmn', 'ipcfs mount --sysctl kern.ipc.shmmni=');
    await expectLine('ipcfs mount mn', 'ipcfs mount mnt/');
    // Where a mount is asked for, no other directory is offered.
    await expectLine(`ipcfs umount ${cwd}/m`, `ipcfs umount ${cwd}/mnt `);
    await expectLine('ipcfs status m', 'ipcfs status mnt ');
    await expectLine('ipcfs status b', 'ipcfs status b');
    await expectLine('ipcfs get m', 'ipcfs get mnt/pipes/');
    await expectLine('ipcfs help kq', 'ipcfs help kqueue ');
    // With only one way on it goes on, and does not close the quotes.
    await expectLine("ipcfs wait mnt 'add tim", "ipcfs wait mnt 'add timer ");
    await expectLine("ipcfs wait mnt 'add read pipes/al", "ipcfs wait mnt 'add read pipes/alpha' ");
  }

  test('bash', async () => {
    await startShell(['bash', '--norc', '--noprofile']);
    await terminal.type(`PS1='> '; source '${completions}/bash/ipcfs'; clear`);
    await terminal.press('Enter');
    await terminal.until(/^> *$/);
    await expectCompletions();
    await terminal.press('C-u');
    await terminal.type('ipcfs wait --');
    await terminal.press('Tab', 'Tab');
    await terminal.until(/--count +--help +--json +--timeout/);
  });

  test('zsh', async () => {
    await startShell(['zsh', '-f']);
    await terminal.type(
      `PS1='> '; fpath=('${completions}/zsh' $fpath); autoload -Uz compinit; compinit -D -u; clear`,
    );
    await terminal.press('Enter');
    await terminal.until(/^> *$/);
    await expectCompletions();
    await terminal.press('C-u');
    await terminal.type('ipcfs wait --');
    await terminal.press('Tab');
    await terminal.until(/--count +-- number of events to wait for/);
  });

  test('fish', async () => {
    const script = `set fish_complete_path '${completions}/fish' $fish_complete_path; complete -C $argv[1]`;
    const ask = async (line: string): Promise<string[]> => {
      const { status, stdout, stderr } = await run('fish', ['--no-config', '-c', script, '--', line], {
        cwd,
        env,
      });
      expect([status, stderr]).toEqual([0, '']);
      return stdout
        .trimEnd()
        .split('\n')
        .map((candidate) => candidate.split('\t')[0]!);
    };
    expect(await ask('ipcfs um')).toEqual(['umount']);
    expect(await ask('ipcfs mount --allow')).toEqual(['--allow-other']);
    expect(await ask('ipcfs mount --shm-backing ')).toEqual(['auto', 'cached', 'passthrough']);
    expect(await ask('ipcfs mount --sysctl kern.ipc.shmmn')).toEqual(['kern.ipc.shmmni=']);
    expect(await ask('ipcfs mount mn')).toEqual(['mnt/']);
    expect(await ask(`ipcfs umount ${cwd}/m`)).toEqual([`${cwd}/mnt`]);
    expect(await ask('ipcfs status m')).toEqual(['mnt']);
    expect(await ask('ipcfs status b')).toEqual(['']);
    expect(await ask('ipcfs help kq')).toEqual(['kqueue']);
    expect(await ask("ipcfs wait mnt 'add read pipes/")).toEqual([
      'add read pipes/alpha',
      'add read pipes/beta',
    ]);
  });

  test('a mount whose server does not answer holds up nothing', async () => {
    const pid = await until(
      async () =>
        (JSON.parse((await run('cat', [join(cwd, 'mnt/info/version.json')])).stdout) as [{ pid: number }])[0]
          .pid,
    );
    process.kill(pid, 'SIGSTOP');
    try {
      const answer = await ipcfs(['__complete', 'fish', '--', 'wait', join(cwd, 'mnt'), 'add read pip']);
      expect(answer).toMatchObject({ status: 0, stdout: 'none\n', stderr: '' });
    } finally {
      process.kill(pid, 'SIGCONT');
    }
  });
});

test('every command and option of the tree is completed, and no other', async () => {
  const root = program();
  const values = async (...words: string[]) =>
    (await complete(root, words)).candidates.map(({ value }) => value).sort();
  const names = root.commands.map((command) => command.name()).filter((name) => !name.startsWith('_'));
  expect(await values('')).toEqual(names.sort());
  expect(visibleCommands(root)).toHaveLength(names.length);
  for (const command of visibleCommands(root)) {
    const options = command.options.flatMap(({ long, short }) => [long, short]);
    const expected = [...options, '--help', '-h'].filter((name) => name !== undefined).sort();
    expect(await values(command.name(), '-')).toEqual(expected);
    expect(optionsOf(command)).toHaveLength(command.options.length + 1);
    for (const { long, argChoices } of command.options) {
      if (argChoices !== undefined)
        expect(await values(command.name(), long!, '')).toEqual([...argChoices].sort());
    }
  }
});

test('the scripts are printed for each shell, and another shell is wrong usage', async () => {
  for (const shell of SHELLS) {
    const { status, stdout } = await ipcfs(['completion', shell]);
    expect(status).toBe(0);
    expect(stdout).toContain(`__complete ${shell}`);
  }
  const refused = await ipcfs(['completion', 'csh']);
  expect(refused.status).toBe(2);
  expect(refused.stderr).toMatch(/^ipcfs: .*bash, zsh or fish.*\n$/);
});
