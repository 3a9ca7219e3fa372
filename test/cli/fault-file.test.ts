import { expect, test } from 'vitest';
import { parseAnswer } from '../../src/cli/control/control-file.ts';
import { parseFaultFile } from '../../src/cli/test-run/fault-file.ts';

test('a file has a fault a line, with or without fault add, comments and empty lines', () => {
  const text =
    '# reads\n\npipes/* read short=1\r\n\tfault add  ** write\tsplit=100 every=2\n # more\nkqueue open errno=EMFILE';
  expect(parseFaultFile('f.txt', text)).toEqual([
    { place: 'f.txt:3', words: 'pipes/* read short=1' },
    { place: 'f.txt:4', words: '** write split=100 every=2' },
    { place: 'f.txt:6', words: 'kqueue open errno=EMFILE' },
  ]);
  expect(parseFaultFile('f.txt', '# nothing\n')).toEqual([]);
});

test.each([
  ['pipes/* read short=1\npipes/* read shrot=1\n', 'f.txt:2: unknown action "shrot=1"'],
  ['pipes/*\n', 'f.txt:1: write fault add OBJECT CALL ACTION'],
  ['\nfault remove all\n', 'f.txt:2: a file can only add faults'],
  ['fault\n', 'f.txt:1: a file can only add faults'],
  ['shm/* read short=1\n', 'f.txt:1: attach and size are calls on shm/'],
])('%j is refused with its line: %s', (text, message) => {
  expect(() => parseFaultFile('f.txt', text)).toThrow(message);
});

test.each([
  ['ok 7\n', { isOk: true, word: '7', text: '' }],
  ['ok\n', { isOk: true, word: '', text: '' }],
  ['ok 1\n7 pipes/* read eof\n', { isOk: true, word: '1', text: '7 pipes/* read eof' }],
  ['error ENOENT there is no fault 7\n', { isOk: false, word: 'ENOENT', text: 'there is no fault 7' }],
  ['error EDQUOT\n', { isOk: false, word: 'EDQUOT', text: '' }],
])('the answer %j', (answer, expected) => {
  expect(parseAnswer(answer)).toEqual(expected);
});
