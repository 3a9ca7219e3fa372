import { execFile } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, expect, test } from 'vitest';
import { isMounted, Scratch } from '../support/cli.ts';
import { describeMount } from '../support/mount.ts';
import { run } from '../support/process.ts';

/** The built package: the thread that serves is a file of it. */
const library = new URL('../../dist/src/index.js', import.meta.url).href;

describeMount('a mount made by a program', () => {
  const scratch = new Scratch();
  afterEach(() => scratch.clean());

  /** Runs a module in a Node of its own; `directory` and everything of the library are defined in it. */
  const program = (directory: string, script: string) =>
    run(
      process.execPath,
      [
        '--input-type=module',
        '-e',
        `import { IpcError, Kqueue, mount, MountFailure, Pipe } from '${library}';
         import { execFile } from 'node:child_process';
         import { mkdir, open, readFile, writeFile } from 'node:fs/promises';
         import { promisify } from 'node:util';
         const directory = ${JSON.stringify(directory)};
         ${script}`,
      ],
      { timeoutMs: 25_000 },
    );

  test('it is used by the program itself and by others, and ends when it is unmounted', async () => {
    const directory = scratch.directory();
    const result = await program(
      directory,
      `const mounted = await mount({ directory, sysctls: { 'kern.ipc.shmmni': 77 } });
       console.log(await readFile(directory + '/sysctl/kern/ipc/shmmni', 'utf8'));
       const [, text] = await Promise.all([
         promisify(execFile)('sh', ['-c', 'mkfifo pipes/a; echo from a shell > pipes/a'], { cwd: directory }),
         (async () => {
           for (;;) try { return await readFile(directory + '/pipes/a', 'utf8'); } catch (e) { if (e.code !== 'ENOENT') throw e; }
         })(),
       ]);
       console.log(text);
       await mounted.unmount();
       await mounted.ended;
       console.log(mounted.directory === directory);`,
    );
    expect(result).toMatchObject({ status: 0, stdout: '77\n\nfrom a shell\n\ntrue\n', stderr: '' });
    expect(isMounted(directory)).toBe(false);
  });

  test('it ends by umount(8) too, and a program that exits leaves none behind', async () => {
    const directory = scratch.directory();
    const ended = await program(
      directory,
      `const mounted = await mount({ directory });
       await promisify(execFile)('umount', [directory]);
       await mounted.ended;
       console.log('ended');`,
    );
    expect(ended).toMatchObject({ status: 0, stdout: 'ended\n', stderr: '' });
    expect(await program(directory, `await mount({ directory }); process.exit(7);`)).toMatchObject({
      status: 7,
    });
    expect(isMounted(directory)).toBe(false);
  });

  test('what cannot be mounted is refused, and nothing is left', async () => {
    const directory = scratch.directory();
    await mkdir(join(directory, 'busy'));
    await writeFile(join(directory, 'file'), '');
    await scratch.mount(join(directory, 'busy'));
    const result = await program(
      directory,
      `const tell = (e) => console.log(e.constructor.name, e.code, e.syscall);
       await mount({ directory: directory + '/none' }).catch(tell);
       await mount({ directory: directory + '/file' }).catch(tell);
       await mount({ directory, sysctls: { 'kern.none': 1 } }).catch(tell);
       await mount({ directory, sysctls: { 'kern.ipc.shmmni': 0 } }).catch(tell);
       await mount({ directory: directory + '/busy' }).catch((e) => console.log(e instanceof MountFailure, e.message));`,
    );
    expect(result).toMatchObject({ status: 0, stderr: '' });
    expect(result.stdout.split('\n').slice(0, 4)).toEqual([
      'Error ENOENT realpath',
      'IpcError ENOTDIR mount',
      'IpcError ENOENT sysctl',
      'IpcError EINVAL sysctl',
    ]);
    expect(result.stdout).toMatch(/^true .*already an ipcfs mount/m);
    await promisify(execFile)('umount', [join(directory, 'busy')]);
    expect(await readFile('/proc/mounts', 'utf8')).not.toContain(directory);
  });

  test('engines keep a program alive while a timed call waits, and no longer', async () => {
    const waited = await program(
      '',
      `const kqueue = new Kqueue();
       kqueue.change({ filter: 'timer', ident: 1, periodMs: 30, flags: ['oneshot'] });
       console.log((await kqueue.wait()).length);
       // Nobody waits for this one.
       kqueue.change({ filter: 'timer', ident: 2, periodMs: 60_000 });`,
    );
    expect(waited).toMatchObject({ status: 0, stdout: '1\n', stderr: '' });
  });
});
