#!/usr/bin/env node
import { CommanderError } from 'commander';
import { EXIT_USAGE, report } from './failure.ts';
import { program } from './program.ts';

try {
  await program().parseAsync();
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : EXIT_USAGE;
  else process.exitCode = report(error);
}
