import { expect, test } from 'vitest';
import { explain, loadModule } from '../../src/transports/fuse-native/binding.ts';
import { MountFailure } from '../../src/transports/transport.ts';

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
});

test('loading a package that is not there fails in one line', () => {
  expect(() => loadModule('ipcfs-no-such-package')).toThrow(MountFailure);
});
