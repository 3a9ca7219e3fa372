import { InvalidArgumentError } from 'commander';
import { UsageFailure } from './failure.ts';

/** Lets commander say which option a refused value belongs to, in our one line. */
export function argument<T>(parse: (text: string) => T): (text: string) => T {
  return (text) => {
    try {
      return parse(text);
    } catch (error) {
      if (error instanceof UsageFailure) throw new InvalidArgumentError(error.message);
      throw error;
    }
  };
}
