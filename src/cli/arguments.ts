import { UsageFailure } from './failure.ts';

/** Takes one of `choices`; what refuses others names `what` (`--shm-backing`), as every refusal of a value does. */
export function oneOf<T extends string>(what: string, choices: readonly T[]): (text: string) => T {
  return (text) => {
    const choice = choices.find((candidate) => candidate === text);
    if (choice !== undefined) return choice;
    const known = `${choices.slice(0, -1).join(', ')} or ${choices.at(-1)!}`;
    throw new UsageFailure(`${what} takes ${known}, not '${text}'`);
  };
}
