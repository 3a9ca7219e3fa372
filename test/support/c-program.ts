import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Why C programs that include `header` cannot be compiled here; null when they can. */
export function whyNoCompiler(header: string): string | null {
  if (!existsSync(header)) return `there is no ${header} (Debian: linux-libc-dev)`;
  const probe = spawnSync('gcc', ['--version'], { stdio: 'ignore' });
  return probe.status === 0 ? null : 'there is no gcc';
}

/** Compiles and runs a C program; what it prints. */
export function runC(source: string): string {
  const directory = mkdtempSync(join(tmpdir(), 'ipcfs-c-'));
  try {
    const program = join(directory, 'program');
    writeFileSync(`${program}.c`, source);
    for (const [command, args] of [
      ['gcc', ['-Wall', '-Werror', '-o', program, `${program}.c`]],
      [program, []],
    ] as const) {
      const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8', timeout: 60_000 });
      if (status !== 0) throw new Error(`${command} failed: ${stderr}`);
      if (command === program) return stdout;
    }
    throw new Error('not reached');
  } finally {
    rmSync(directory, { recursive: true });
  }
}
