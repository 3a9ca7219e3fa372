#!/usr/bin/env node
import { CommanderError } from 'commander';
import { EXIT_USAGE } from './failure.ts';
import { endWithFailure } from './mount-calls.ts';
import { program } from './program.ts';

try {
  await program().parseAsync();
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : EXIT_USAGE;
  else endWithFailure(error);
}
