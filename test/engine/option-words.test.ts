import { describe, expect, test } from 'vitest';
import { isPlain, NO_OPTIONS, OPTION_VALUES, optionWords } from '../../src/pipe/pipe-options.ts';
import { optionKinds } from '../../src/tree/options/parse-options.ts';
import { optionsOf } from '../support/options.ts';

/** Words in any form, and those that say the same in the fixed order. */
const canonical: [given: string, words: string][] = [
  ['capacity=64K lines hold', 'hold lines capacity=65536'],
  ['records=on requeue=on', 'records requeue'],
  ['requeue=off lines', 'lines requeue=off'],
  ['overflow=oldest fanout', 'overflow=oldest fanout'],
  ['overflow=block hold=off', ''],
  ['timeout=0.5s jobserver', 'jobserver timeout=500ms'],
  ['capacity=1', 'capacity=4096'],
  ['capacity=4097', 'capacity=8192'],
  ['capacity=1G overflow=newest', 'overflow=newest capacity=1073741824'],
];

describe('the words of options', () => {
  test.each(canonical)('"%s" is shown as "%s", which means the same', (given, words) => {
    const options = optionsOf(given);
    expect(optionWords(options).join(' ')).toBe(words);
    expect(isPlain(options)).toBe(words === '');
    expect(words === '' ? NO_OPTIONS : optionsOf(words)).toEqual(options);
  });

  test('every option has a name, and is offered with the values that it takes', () => {
    expect(Object.keys(OPTION_VALUES).sort()).toEqual(Object.keys(optionKinds).sort());
    for (const [name, values] of Object.entries(OPTION_VALUES)) {
      const framing = name === 'requeue' ? ['lines'] : [];
      for (const word of values === null ? [name] : values.map((value) => `${name}=${value}`))
        expect(() => optionsOf([...framing, word].join(' '))).not.toThrow();
      expect(() => optionsOf(`${name}=something`)).toThrow('something');
    }
  });

  test.each([
    ['jobserver lines', 'lines'],
    ['jobserver records', 'records'],
    ['jobserver overflow=oldest', 'overflow'],
    ['jobserver fanout', 'fanout'],
    ['fanout lines requeue', 'requeue'],
    ['fanout hold', 'hold'],
    ['lines records', 'one of them'],
  ])('"%s" do not go together, and the message says what to leave out', (given, culprit) => {
    expect(() => optionsOf(given)).toThrow(new RegExp(`: leave out ${culprit}$`));
  });

  test.each(['requeue', 'requeue=off', 'fanout requeue=off'])('"%s" wants records to give back', (given) => {
    expect(() => optionsOf(given)).toThrow('requeue is about lines or records: add one of them');
  });

  test.each(['fanout lines requeue=off', 'fanout lines', 'jobserver hold', 'hold records requeue=off'])(
    '"%s" go together',
    (given) => {
      expect(() => optionsOf(given)).not.toThrow();
    },
  );
});
