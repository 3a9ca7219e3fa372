import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Why C programs that include `header` cannot be compiled here; null when they can. */
export function whyNoCompiler(header: string): string | null {
  if (!existsSync(header)) return `there is no ${header} (Debian: linux-libc-dev)`;
  const probe = spawnSync('gcc', ['--version'], { stdio: 'ignore' });
  return probe.status === 0 ? null : 'there is no gcc';
}

function runToEnd(command: string, args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8', timeout: 60_000 });
  if (status !== 0) throw new Error(`${command} failed: ${stderr}`);
  return stdout;
}

/** Compiles a C program to the file `program`. */
export function compileC(source: string, program: string): void {
  writeFileSync(`${program}.c`, source);
  runToEnd('gcc', ['-Wall', '-Werror', '-O1', '-pthread', '-o', program, `${program}.c`]);
}

/** Compiles and runs a C program; what it prints. */
export function runC(source: string): string {
  const directory = mkdtempSync(join(tmpdir(), 'ipcfs-c-'));
  try {
    const program = join(directory, 'program');
    compileC(source, program);
    return runToEnd(program, []);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

const C_PROGRAMS = fileURLToPath(new URL('c-programs/', import.meta.url));
const STRICT = ['-Wall', '-Wextra', '-pedantic', '-Werror', '-O1'];

/** The compilers that the headers of src/c have to please, with their options. */
export const headerCompilers = {
  C99: ['gcc', '-std=c99'],
  'C++17': ['g++', '-x', 'c++', '-std=c++17'],
} as const;

/** Why programs cannot be compiled with the headers of src/c; null when they can. */
export function whyNoHeaderCompiler(): string | null {
  const missing = ['gcc', 'g++'].find(
    (name) => spawnSync(name, ['--version'], { stdio: 'ignore' }).status !== 0,
  );
  return missing === undefined ? null : `there is no ${missing}`;
}

/** Compiles programs of test/support/c-programs with options of `ipcfs cflags`; no compiler may warn of them. */
export function compileWithHeaders(
  language: keyof typeof headerCompilers,
  program: string,
  sources: readonly string[],
  options: readonly string[],
): void {
  const [compiler, ...words] = headerCompilers[language];
  const files = sources.map((source) => join(C_PROGRAMS, source));
  runToEnd(compiler, [...words, ...STRICT, ...options, '-o', program, ...files]);
}
