import type { Argument, Command, Option } from 'commander';
import { optionsOf, visibleCommands } from '../../src/cli/completion/complete.ts';
import { infoColumns } from '../../src/cli/help/columns.ts';
import { findTopic } from '../../src/cli/help/topic-text.ts';
import { TOPICS } from '../../src/cli/help/topics.ts';
import { tunableVariables } from '../../src/cli/help/tunables.ts';
import { mountOptionName, mountOptions } from '../../src/cli/mount/mount-helper.ts';
import { escapeRoff, prose, quoteRoff, renderAsRoff, tagged } from './roff.ts';

/** The manual page of ipcfs in the macros of man(7), made from the tree of commands and from the topics of `ipcfs help`. */
export function manualPage(root: Command): string {
  const commands = visibleCommands(root);
  const lines = [
    `.TH IPCFS 1 ${date()} ${quoteRoff(`ipcfs ${root.version()!}`)} "User Commands"`,
    '.SH NAME',
    `ipcfs \\- ${escapeRoff(root.description())}`,
    '.SH SYNOPSIS',
    ...commands.flatMap((command, index) => [
      ...(index === 0 ? [] : ['.br']),
      `.B ${quoteRoff(`ipcfs ${command.name()}`)}`,
      synopsis(command),
    ]),
    '.SH COMMANDS',
    ...commands.flatMap((command) => describeCommand(command)),
    '.SH OPTIONS',
    ...optionsOf(root).flatMap((option) => tagged(option.flags, option.description)),
    ...[...TOPICS]
      .filter(([name]) => name !== 'examples')
      .flatMap(([name, { summary }]) => [
        `.SH ${quoteRoff(name.toUpperCase())}`,
        `${escapeRoff(summary)}.`,
        ...renderAsRoff(findTopic(name).tokens),
        ...(name === 'sysctl' ? tunables() : name === 'info' ? columns() : []),
      ]),
    '.SH FSTAB',
    'In fstab(5) and with mount(8) the options of',
    '.B ipcfs mount',
    'are:',
    ...fstabOptions(commands.find((command) => command.name() === 'mount')!),
    '.SH EXIT STATUS',
    ...tagged('0', 'Done.'),
    ...tagged('1', 'Failed; one line on standard error says why, and what to do.'),
    ...tagged('2', 'Wrong usage.'),
    ...tagged('3', 'ipcfs waits --check, or ipcfs run, has found a deadlock.'),
    ...tagged('4', 'The command of ipcfs run --leaks has left something.'),
    ...tagged('124', 'The time of ipcfs wait --timeout, or ipcfs run --timeout, has passed.'),
    ...tagged('126', 'The command of ipcfs run cannot be executed.'),
    ...tagged('127', 'The command of ipcfs run is not found.'),
    ...tagged('others', 'The status of the command of ipcfs run; 128 + N when signal N has ended it.'),
    '.SH ENVIRONMENT',
    ...tagged('IPCFS', 'The mount point, for the command of ipcfs run.'),
    ...tagged('SHELL', 'What ipcfs run starts without a command.'),
    ...tagged('TMPDIR', 'Where ipcfs run makes its mount point; /tmp without it.'),
    ...tagged('DEBUG', 'ipcfs:* logs to standard error.'),
    '.SH EXAMPLES',
    ...prose('Type these in a directory on which ipcfs is mounted. Lines that begin with #> are output.'),
    ...renderAsRoff(findTopic('examples').tokens),
  ];
  return `${lines.join('\n')}\n`;
}

/** The day of the build; packagers who build twice and compare set SOURCE_DATE_EPOCH. */
function date(): string {
  const epoch = process.env['SOURCE_DATE_EPOCH'];
  return (epoch === undefined ? new Date() : new Date(Number(epoch) * 1000)).toISOString().slice(0, 10);
}

function synopsis(command: Command): string {
  const options = optionsOf(command).length > 1 ? ['[options]'] : [];
  return escapeRoff([...options, ...command.registeredArguments.map(argumentTerm)].join(' ')) || '\\&';
}

function argumentTerm(argument: Argument): string {
  const name = `${argument.name()}${argument.variadic ? '...' : ''}`;
  return argument.required ? name : `[${name}]`;
}

function describeCommand(command: Command): string[] {
  const help = command.createHelp();
  return [
    `.SS ${quoteRoff(`${command.name()} ${command.registeredArguments.map(argumentTerm).join(' ')}`.trim())}`,
    ...prose(command.description()),
    ...command.registeredArguments.flatMap((argument) =>
      tagged(argument.name(), help.argumentDescription(argument)),
    ),
    ...optionsOf(command).flatMap((option: Option) => tagged(option.flags, help.optionDescription(option))),
  ];
}

/** Without the defaults: some depend on the machine. */
function tunables(): string[] {
  return tunableVariables().flatMap(({ name, description, minimum, maximum }) => {
    const range =
      minimum === undefined && maximum === undefined ? '' : ` (${minimum ?? ''}..${maximum ?? ''})`;
    return tagged(name, `${description}${range}`);
  });
}

function columns(): string[] {
  return infoColumns().flatMap(({ table, name, description }) =>
    tagged(`${table} ${name}`, description.replaceAll('`', '')),
  );
}

function fstabOptions(mount: Command): string[] {
  const named = mountOptions(mount).flatMap((option) =>
    tagged(mountOptionName(option) + (option.required ? '=VALUE' : ''), option.description),
  );
  return [...named, ...tagged('sysctl.NAME=VALUE', 'set a tunable')];
}
