import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { compileC, whyNoCompiler } from '../support/c-program.ts';
import { describeMount, TestMount } from '../support/mount.ts';

const source = fileURLToPath(new URL('../support/programs/whole-read.c', import.meta.url));
const script = fileURLToPath(new URL('../support/programs/whole-read.py', import.meta.url));
const SEND = "for n in {1..20}; do printf '%063d.' $n; done > pipes/m 2> /dev/null";
const reasonNotC = whyNoCompiler('/usr/include/stdio.h');

describeMount('a program that takes it for granted that a read returns all that it asks for', () => {
  let mount: TestMount;
  let folder: string;
  let program: string;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'ipcfs-whole-read-'));
    program = join(folder, 'whole-read');
    if (reasonNotC === null) compileC(readFileSync(source, 'utf8'), program);
    mount = await TestMount.start();
    await mount.fifo('m');
  });
  afterAll(async () => {
    await mount.stop();
    rmSync(folder, { recursive: true });
  });
  afterEach(() => mount.output("echo 'fault remove all' > ctl"));

  const cases = [
    { language: 'C', command: (): string => program },
    { language: 'Python', command: (): string => `python3 ${script}` },
  ].filter(({ language }) => language !== 'C' || reasonNotC === null);

  test.each(cases)('in $language: passes plainly, and fails when reads are short', async ({ command }) => {
    const plain = await mount.sh(`{ ${SEND}; } & ${command()} < pipes/m`);
    expect([plain.status, plain.stdout, plain.stderr]).toEqual([0, '20 messages\n', '']);
    await mount.output("echo 'fault add pipes/* read short=1' > ctl");
    const broken = await mount.sh(`{ trap '' PIPE; ${SEND}; } & ${command()} < pipes/m`);
    expect([broken.status, broken.stdout, broken.stderr]).toEqual([1, '', 'message 1 is damaged: 1 bytes\n']);
    expect((await mount.table('faults'))[0]).toMatchObject({ action: 'short=1', calls: 1, hits: 1 });
    // One read of the twenty is enough to find it.
    await mount.output("echo 'fault remove all' > ctl; echo 'fault add pipes/* read short=63 when=7' > ctl");
    const rare = await mount.sh(`{ trap '' PIPE; ${SEND}; } & ${command()} < pipes/m`);
    expect([rare.status, rare.stderr]).toEqual([1, 'message 7 is damaged: 63 bytes\n']);
  });

  test('one that goes on reading passes in both cases', async () => {
    const command = `{ ${SEND}; } & dd bs=64 count=20 iflag=fullblock status=none < pipes/m | wc -c`;
    expect((await mount.output(command)).trim()).toBe('1280');
    await mount.output("echo 'fault add pipes/* read short=1' > ctl");
    expect((await mount.output(command)).trim()).toBe('1280');
    expect((await mount.table('faults'))[0]).toMatchObject({ calls: 1280, hits: 1280 });
  });
});
