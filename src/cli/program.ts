import { Command } from 'commander';
import { COMMANDS } from './commands.ts';
import { packageVersion } from './version.ts';

/** The command line: what parses it, and what help, completion and the manual are made from. */
export function program(): Command {
  const root = new Command('ipcfs')
    .description('BSD inter-process communication as a file system')
    .version(packageVersion(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'show this help')
    .helpCommand('help [COMMAND]', 'show the help of a command')
    .showHelpAfterError(false)
    .exitOverride()
    .configureOutput({
      outputError: (text, write) => {
        write(oneLine(text));
      },
    });
  for (const define of COMMANDS) define(root);
  return root;
}

/** commander's message without its prefix and hints, as one line that names the help. */
function oneLine(text: string): string {
  const message = text
    .trim()
    .replace(/^error: /, '')
    .replace(/\s*\n\s*/g, ' ');
  return `ipcfs: ${message}: see 'ipcfs --help'\n`;
}
