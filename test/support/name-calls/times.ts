import * as fs from 'node:fs';
import { outcome, pipe, openAs, moved } from './calls.ts';

const { O_RDWR } = fs.constants;

/** Time stamps. */
export const times: Readonly<Record<string, () => unknown>> = {
  'times that are moved': () => {
    pipe('p');
    fs.mkdirSync('d');
    pipe('d/a');
    return {
      chmod: moved('p', () => {
        fs.chmodSync('p', 0o600);
      }),
      chown: moved('p', () => {
        fs.chownSync('p', 1, 1);
      }),
      link: moved('p', () => {
        fs.linkSync('p', 'l');
      }),
      unlink: moved('p', () => {
        fs.unlinkSync('l');
      }),
      rename: moved('p', () => {
        fs.renameSync('p', 'r');
        fs.renameSync('r', 'p');
      }),
      stat: moved('p', () => {
        fs.statSync('p');
      }),
      making: moved('d', () => {
        pipe('d/b');
      }),
      makingDirectory: moved('d', () => {
        fs.mkdirSync('d/c');
      }),
      removing: moved('d', () => {
        fs.unlinkSync('d/b');
      }),
      removingDirectory: moved('d', () => {
        fs.rmdirSync('d/c');
      }),
      renaming: moved('d', () => {
        fs.renameSync('d/a', 'd/z');
      }),
      failing: moved('d', () => {
        outcome(() => {
          fs.mkdirSync('d/z');
        });
      }),
      chmodOfEntry: moved('d', () => {
        fs.chmodSync('d/z', 0o600);
      }),
      opening: moved('p', () => {
        openAs('p', O_RDWR);
      }),
    };
  },
  'times that are set': () => {
    pipe('p');
    fs.symlinkSync('p', 's');
    fs.utimesSync('p', 12.5, 34.25);
    fs.lutimesSync('s', 1, 2);
    const { atimeMs, mtimeMs } = fs.statSync('p');
    return [atimeMs, mtimeMs, fs.lstatSync('s').mtimeMs];
  },
};
