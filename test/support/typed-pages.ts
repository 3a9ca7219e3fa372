import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { whyNoCompiler } from './c-program.ts';
import type { InteractiveShell } from './interactive-shell.ts';
import { type Example, fileOf, isAsStated, MARKS, reasonNotRun, statedOutput } from './pages.ts';

/** A directory in which a reader follows a page: programs in front of PATH, a home, and a clone or what stands for it. */
export class Desk {
  readonly folder = mkdtempSync(join(tmpdir(), 'ipcfs-page-'));
  /** Where the mount point `mnt` lies. */
  readonly clone = join(this.folder, 'clone');
  readonly mnt = join(this.clone, 'mnt');
  readonly #programs = join(this.folder, 'programs');

  constructor() {
    mkdirSync(this.#programs);
    mkdirSync(join(this.folder, 'home'));
    // A reader looks before typing on; a busy machine needs longer than the pages say.
    this.program('sleep', `exec ${existsSync('/usr/bin/sleep') ? '/usr/bin/sleep' : '/bin/sleep'} 2`);
  }

  program(name: string, command: string): void {
    const path = join(this.#programs, name);
    writeFileSync(path, `#!/bin/sh\n${command}\n`);
    chmodSync(path, 0o755);
  }

  get environment(): Record<string, string> {
    return { HOME: join(this.folder, 'home'), PATH: `${this.#programs}:${process.env['PATH']!}` };
  }

  /** Does what a block says: writes its file, or types its lines and compares what is printed. */
  async follow(example: Example, shell: InteractiveShell): Promise<void> {
    const file = fileOf(example);
    if (file !== undefined) {
      writeFileSync(join(this.clone, file), `${example.text}\n`);
      return;
    }
    if (example.mark === MARKS.withCompiler && whyNoCompiler('/usr/include/stdio.h') !== null) return;
    await expectAsStated(example, shell);
  }

  clean(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Types a block: it prints what the page says, and no command fails unless the page says what then. */
export async function expectAsStated(example: Example, shell: InteractiveShell): Promise<void> {
  const { printed, statuses } = await shell.typeBlock(example);
  const stated = statedOutput(example.text);
  // Where it is not so, what is printed is shown beside what is stated.
  if (!isAsStated(printed, stated)) expect(printed).toBe(stated.map((line) => `${line}\n`).join(''));
  expect([printed, statuses.filter((status) => status !== '0')]).toEqual([printed, []]);
}

/** Whether a reader does something with a block in the second shell. */
export function isFollowed(example: Example): boolean {
  if (fileOf(example) !== undefined) return true;
  return (
    example.language === 'sh' && reasonNotRun(example) === undefined && example.mark !== MARKS.firstShell
  );
}
