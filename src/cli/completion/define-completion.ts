import { Argument, type Command } from 'commander';
import { oneOf } from '../arguments.ts';
import { COMPLETE_COMMAND, type Shell, SHELLS } from './names.ts';

export function defineCompletion(root: Command): void {
  root
    .command('completion')
    .description('print the completion script of a shell')
    .addArgument(
      new Argument('<SHELL>', 'for which shell').choices(SHELLS).argParser(oneOf('completion', SHELLS)),
    )
    .action(async (shell: Shell) => {
      const { COMPLETION_SCRIPTS } = await import('./scripts.ts');
      process.stdout.write(COMPLETION_SCRIPTS[shell]);
    });
  root
    .command(COMPLETE_COMMAND, { hidden: true })
    .addArgument(new Argument('<SHELL>').choices(SHELLS))
    .argument('[WORDS...]')
    .action(async (shell: Shell, words: readonly string[]) => {
      const { answerShell } = await import('./shells.ts');
      process.stdout.write(await answerShell(root, shell, words));
    });
}
