import { afterAll, afterEach, expect, test } from 'vitest';
import { describeMount, mainProgram } from '../support/mount.ts';
import { RunBench } from '../support/run-bench.ts';
import { Terminal } from '../support/terminal.ts';

const ipcfsRun = `'${process.execPath}' '${mainProgram}' run`;

describeMount('ipcfs run in a terminal', () => {
  const bench = new RunBench();
  let terminal: Terminal | null = null;
  afterEach(async () => {
    await terminal?.stop();
    terminal = null;
    await bench.untilNothingLeft();
  });
  afterAll(() => {
    bench.clean();
  });

  async function start(): Promise<Terminal> {
    return (terminal = await Terminal.start({ columns: 200, env: bench.env, cwd: bench.directory }));
  }

  test('Ctrl-C reaches the command once, and the run ends when that does', async () => {
    bench.program(
      'counts',
      `trap 'echo "got one"' INT; echo begun; for i in 1 2 3 4 5 6 7 8; do sleep 0.3; done; exit 6`,
    );
    const shell = await start();
    await shell.enter(`clear; ${ipcfsRun} -- bash counts; echo "status $?"`);
    await shell.until(/^begun$/m);
    await shell.press('C-c');
    const screen = await shell.until(/^status 6$/m);
    expect(screen.match(/got one/g)).toHaveLength(1);
  });

  test('Ctrl-C ends a command that does not handle it, with 130', async () => {
    const shell = await start();
    await shell.enter(`clear; ${ipcfsRun} -- sh -c 'echo begun; sleep 100'; echo "status $?"`);
    await shell.until(/^begun$/m);
    await shell.press('C-c');
    // Behind what the terminal shows for the key.
    await shell.until(/status 130$/m);
  });

  test('Ctrl-Z stops both, and fg goes on with both', async () => {
    const shell = await start();
    await shell.enter(`clear; ${ipcfsRun} -- sh -c 'echo begun; sleep 1; echo done; exit 3'`);
    await shell.until(/^begun$/m);
    await shell.press('C-z');
    await shell.until(/Stopped/);
    await shell.enter('clear; fg; echo "status $?"');
    await shell.until(/^done$[^]*^status 3$/m);
  });

  test('an interactive shell has job control, and its exit ends the run', async () => {
    const shell = await start();
    await shell.enter(`clear; SHELL=/bin/bash ${ipcfsRun}`);
    await shell.until(/[#$]$/m);
    await shell.enter('ls $IPCFS | wc -l; sleep 100 & jobs | wc -l; exit 5');
    await shell.until(/^ready>/m);
    await shell.enter('echo "status $?"');
    await shell.until(/^status 5$/m);
  });

  test('a terminal that is closed ends the run', async () => {
    const shell = await start();
    await shell.enter(`clear; ${ipcfsRun} -- sh -c 'echo begun; sleep 100'`);
    await shell.until(/^begun$/m);
    await shell.stop();
    terminal = null;
    await bench.untilNothingLeft();
  });
});
