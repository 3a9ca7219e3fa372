import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** Where scripts/build-fuse-modules.sh builds the packages that are no dependency, as they have to be compiled. */
const folder =
  process.env['IPCFS_FUSE_MODULES'] ??
  join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'ipcfs/fuse-modules');

/** How tests are run with a package that binds libfuse. */
export interface TestedModule {
  readonly name: string;
  /** Options of `ipcfs mount`. */
  readonly args: readonly string[];
  /** Why it cannot be tested here, with what to do; null when it can. */
  readonly missing: string | null;
}

/** A package other than the one that is installed with this one for its tests. */
export function builtModule(name: string): TestedModule {
  const path = join(folder, 'node_modules', name);
  return {
    name,
    args: ['--transport', 'fuse-native', '--fuse-module', path],
    missing: existsSync(join(path, 'build/Release'))
      ? null
      : `${name} is not built: scripts/build-fuse-modules.sh builds it in ${folder}`,
  };
}
