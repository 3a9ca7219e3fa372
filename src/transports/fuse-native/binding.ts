import { createRequire } from 'node:module';
import { isAbsolute } from 'node:path';
import { MountFailure } from '../common/transport.ts';

/** A mount of a binding: the API of the package `fuse-native`, which its successors have kept. */
export interface FuseMount {
  mount(done: (error: Error | null) => void): void;
  unmount(done: (error: Error | null) => void): void;
}

/** A callback of a binding takes its arguments, and last a function for the answer. */
export type BindingOperations = Readonly<Record<string, (...words: never[]) => void>>;

/** A package that binds libfuse to Node. */
export interface FuseModule {
  new (directory: string, operations: BindingOperations, options: object): FuseMount;
  /** Only packages for libfuse 3 have it: they refuse options that they do not name. */
  readonly validateOptions?: unknown;
}

/** Whether what a package exports is a class whose objects have these methods. */
export function hasMethods(fuse: unknown, names: readonly string[]): fuse is FuseModule {
  if (typeof fuse !== 'function') return false;
  const prototype = fuse.prototype as Readonly<Record<string, unknown>> | undefined;
  return names.every((name) => typeof prototype?.[name] === 'function');
}

export const DEFAULT_MODULE = 'fuse-native';

/** The library that a package needs, and the package of Debian and its kin that has it. */
const LIBRARY_PACKAGES: Readonly<Record<string, string>> = {
  'libfuse.so.2': 'libfuse2, in newer releases libfuse2t64',
  'libfuse3.so.3': 'libfuse3-3',
  'libfuse3.so.4': 'libfuse3-4',
};

/** Loads a package, by name or absolute path; nothing of it is loaded before. Fails with one line that says what to install. */
export function loadModule(name: string): FuseModule {
  try {
    return createRequire(import.meta.url)(name) as FuseModule;
  } catch (error) {
    throw new MountFailure(explain(name, error));
  }
}

/** What to do about a package that cannot be loaded. */
export function explain(name: string, error: unknown): string {
  const { code, message, cause } = error as NodeJS.ErrnoException;
  // Some say it in words of their own, and what the system has said is the cause.
  const words = cause instanceof Error ? `${cause.message} ${message}` : message;
  const library = /lib(?:osx)?fuse[\w-]*(?:\.so[.\d]*|[.\d]*\.dylib)/.exec(words)?.[0];
  if (code === 'MODULE_NOT_FOUND' && library === undefined && message.includes(`'${name}'`)) {
    if (isAbsolute(name)) {
      return `there is no module ${name}: --fuse-module takes a package that is installed, or the path of one`;
    }
    // The others have no binary in the package, or not for every Node.
    const option = name === DEFAULT_MODULE ? '--ignore-scripts ' : '';
    return `the npm package ${name} is not installed: install it with 'npm install ${option}${name}'`;
  }
  if (library?.includes('.dylib') === true) {
    return `${name} needs macFUSE, which is not installed: get it from https://macfuse.github.io`;
  }
  if (library !== undefined) {
    const found = LIBRARY_PACKAGES[library];
    const how = found === undefined ? '' : ` (Debian: apt-get install ${found})`;
    return `${name} needs the library ${library}, which is not installed: install its package${how}`;
  }
  if (message.includes('No native build was found')) {
    return `${name} has no binary for ${process.platform}-${process.arch} and Node ${process.versions.node}: build it with 'npm rebuild ${name}', or choose another with --fuse-module`;
  }
  return `${name} cannot be loaded (${message.split('\n')[0]!}): choose another with --fuse-module`;
}
