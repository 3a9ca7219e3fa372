import { CommanderError } from 'commander';
import { endWithFailure, exitNow } from './exit.ts';
import { EXIT_FAILURE, EXIT_USAGE, UsageFailure } from './failures.ts';
import { fromMountHelper } from './mount/mount-helper.ts';
import { program } from './program.ts';

// Nobody reads what is printed any more (`ipcfs doctor | head -n 1`, a terminal that has gone): there is nobody to tell.
process.stdout.on('error', () => {
  exitNow(EXIT_FAILURE);
});

try {
  const root = program();
  const args = fromMountHelper(root, process.argv.slice(2));
  if (args.length === 0) throw new UsageFailure("name a command: 'ipcfs --help' lists them");
  await root.parseAsync(args, { from: 'user' });
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : EXIT_USAGE;
  else endWithFailure(error);
}
