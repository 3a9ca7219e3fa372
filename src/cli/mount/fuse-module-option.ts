import { Option } from 'commander';
import { DEFAULT_MODULE } from '../../transports/fuse-native/binding.ts';
import { parseFuseModule } from './mount-options.ts';

/** `--fuse-module`, which `mount` and `doctor` have. */
export function fuseModuleOption(): Option {
  return new Option('--fuse-module <NAME>', 'the package for --transport fuse-native: its name, or a path')
    .argParser(parseFuseModule)
    .default(DEFAULT_MODULE);
}
