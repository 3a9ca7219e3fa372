import { Command, Help, type Option } from 'commander';
import { COMMANDS } from './commands.ts';
import { topicList } from './help/command.ts';
import { packageVersion } from '../host/package.ts';
import { printableLine } from './printable.ts';

/** The command line: what parses it, and what help, completion and the manual are made from. */
export function program(): Command {
  const root = new Command('ipcfs')
    .description('BSD inter-process communication as a file system')
    .version(packageVersion(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'show this help')
    .helpCommand(false)
    .addHelpText('after', topicList)
    .configureHelp({ optionDescription: (option) => describeOption(option) })
    .showHelpAfterError(false)
    .exitOverride()
    .configureOutput({
      outputError: (text, write) => {
        write(oneLine(text, 'ipcfs --help'));
      },
    });
  for (const define of COMMANDS) define(root);
  for (const command of root.commands) {
    command.configureOutput({
      outputError: (text, write) => {
        write(oneLine(text, `ipcfs help ${command.name()}`));
      },
    });
  }
  return root;
}

/** As commander has it, without a default that only says that the option is not given. */
function describeOption(option: Option): string {
  const defaultValue: unknown = option.defaultValue;
  const isAbsence = defaultValue === false || (Array.isArray(defaultValue) && defaultValue.length === 0);
  const shown = isAbsence
    ? (Object.create(option, { defaultValue: { value: undefined } }) as Option)
    : option;
  return new Help().optionDescription(shown);
}

/** commander's message without its prefix and hints, as one line that names the help. */
function oneLine(text: string, help: string): string {
  const message = text
    .trim()
    .replace(/^error: /, '')
    // "too many arguments for 'mount'. Expected 1 argument but got 2.": the help tells how many.
    .replace(/\. Expected .*$/, '')
    .replace(/\s*\n\s*/g, ' ');
  return `ipcfs: ${printableLine(message)}: see '${help}'\n`;
}
