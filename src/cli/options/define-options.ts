import { Argument, type Command } from 'commander';

/** What stands for an option in the help, and is completed as one. */
const OPTION = 'OPTION';

export function defineSet(root: Command): void {
  root
    .command('set')
    .description('set options of a pipe, or of all pipes that are created in a directory')
    .argument('<PIPE>', 'path of a pipe in a mount, or of a directory below pipes/')
    .addArgument(new Argument(`<${OPTION}...>`, 'what to set, for example hold lines capacity=1M'))
    .action(async (path: string, words: readonly string[]) => {
      const { askOptions } = await import('./ask-options.ts');
      await askOptions('set', path, words);
    });
}

export function defineUnset(root: Command): void {
  root
    .command('unset')
    .description('remove options of a pipe; the word all removes all of them')
    .argument('<PIPE>', 'path of a pipe in a mount, or of a directory below pipes/')
    .addArgument(new Argument(`<${OPTION}...>`, 'what to take away'))
    .action(async (path: string, words: readonly string[]) => {
      const { askOptions } = await import('./ask-options.ts');
      await askOptions('unset', path, words);
    });
}

export function defineGet(root: Command): void {
  root
    .command('get')
    .description('print the options of a pipe, or of a directory')
    .argument('<PIPE>', 'path of a pipe in a mount, or of a directory below pipes/')
    .action(async (path: string) => {
      const { askOptions } = await import('./ask-options.ts');
      process.stdout.write(`${await askOptions('get', path, [])}\n`);
    });
}
