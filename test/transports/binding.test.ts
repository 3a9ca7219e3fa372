import { expect, test } from 'vitest';
import { explain, type FuseModule, loadModule } from '../../src/transports/fuse-native/binding.ts';
import { dialectOf } from '../../src/transports/fuse-native/dialect.ts';
import { MountFailure } from '../../src/transports/common/transport.ts';

function failure(message: string, code?: string): Error {
  return Object.assign(new Error(message), code === undefined ? {} : { code });
}

test('a package that cannot be loaded is explained by what to install', () => {
  const missing = 'libfuse.so.2: cannot open shared object file: No such file or directory';
  expect(explain('fuse-native', failure(missing, 'ERR_DLOPEN_FAILED'))).toBe(
    'fuse-native needs the library libfuse.so.2, which is not installed: install its package (Debian: apt-get install libfuse2, in newer releases libfuse2t64)',
  );
  expect(explain('other', failure('libfuse3.so.3: cannot open shared object file'))).toContain('libfuse3-3');
  expect(
    explain('fuse-native', failure('dlopen(fuse.node): Library not loaded: @rpath/libosxfuse.2.dylib')),
  ).toContain('needs macFUSE');
  expect(explain('fuse-native', failure("Cannot find module 'fuse-native'", 'MODULE_NOT_FOUND'))).toBe(
    "the npm package fuse-native is not installed: install it with 'npm install --ignore-scripts fuse-native'",
  );
  expect(explain('/x/y', failure("Cannot find module '/x/y'", 'MODULE_NOT_FOUND'))).toContain(
    'no module /x/y',
  );
  expect(
    explain('fuse-native', failure('No native build was found for platform=linux arch=arm64')),
  ).toContain('has no binary for');
  const wrapped = Object.assign(
    failure('fuse-napi requires a supported FUSE 3 runtime.', 'EFUSEDEPENDENCY'),
    {
      cause: failure('libfuse3.so.4: cannot open shared object file: No such file or directory'),
    },
  );
  expect(explain('fuse-napi', wrapped)).toBe(
    'fuse-napi needs the library libfuse3.so.4, which is not installed: install its package (Debian: apt-get install libfuse3-4)',
  );
  expect(explain('fuse-napi', failure("Cannot find module 'fuse-napi'", 'MODULE_NOT_FOUND'))).toBe(
    "the npm package fuse-napi is not installed: install it with 'npm install fuse-napi'",
  );
  expect(explain('/x/y', failure("Cannot find module 'nanoresource'", 'MODULE_NOT_FOUND'))).toBe(
    "/x/y cannot be loaded (Cannot find module 'nanoresource'): choose another with --fuse-module",
  );
});

/** What a package exports: a class with these methods, and static ones. */
function packageWith(methods: readonly string[], statics: object = {}): FuseModule {
  const constructor = function (): void {
    // Nothing is mounted.
  };
  for (const name of methods) Object.assign(constructor.prototype as object, { [name]: () => null });
  return Object.assign(constructor, statics) as unknown as FuseModule;
}

test('packages are told apart by what they have, and one that binds nothing is one line', () => {
  const validateOptions = (): null => null;
  const legacy = packageWith(['mount', 'unmount']);
  const modern = packageWith(['mount', 'unmount', 'context', '_fuseOptions'], { validateOptions });
  expect(dialectOf(legacy, 'x').capabilities.poll).toBe(false);
  expect(dialectOf(modern, 'x').capabilities.poll).toBe(true);
  const changed = packageWith(['mount', 'unmount', 'context'], { validateOptions });
  for (const other of [changed, packageWith([]), {}, null, loadModule('node:events')]) {
    expect(() => dialectOf(other as FuseModule, 'x')).toThrow(
      'x does not bind libfuse in a way that ipcfs knows: use fuse-native, @cocalc/fuse-native or fuse-napi',
    );
  }
});

test('loading a package that is not there fails in one line', () => {
  expect(() => loadModule('ipcfs-no-such-package')).toThrow(MountFailure);
});
