import * as fs from 'node:fs';
import { outcome, pipe, openAs } from './calls.ts';

const { O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY } =
  fs.constants;

/** Flags of open(2). */
export const openings: Readonly<Record<string, () => unknown>> = {
  'flags of open': () => {
    pipe('p');
    fs.mkdirSync('d');
    fs.symlinkSync('p', 's');
    fs.symlinkSync('none', 'n');
    fs.symlinkSync('d', 'l');
    return [
      openAs('p', O_RDONLY | O_DIRECTORY),
      openAs('d', O_RDONLY | O_DIRECTORY),
      openAs('d', O_RDONLY),
      openAs('d', O_WRONLY),
      openAs('d', O_RDWR),
      openAs('d', O_RDONLY | O_CREAT),
      openAs('d', O_RDONLY | O_TRUNC),
      openAs('s', O_RDWR),
      openAs('s', O_RDWR | O_NOFOLLOW),
      openAs('l', O_RDONLY | O_DIRECTORY),
      openAs('l', O_RDONLY | O_DIRECTORY | O_NOFOLLOW),
      openAs('n', O_RDWR),
      openAs('n', O_RDWR | O_CREAT | O_EXCL),
      openAs('p', O_RDWR | O_CREAT),
      openAs('p', O_RDWR | O_TRUNC),
      openAs('p', O_WRONLY),
      openAs('p', O_RDONLY),
      openAs('none/x', O_RDWR | O_CREAT),
      openAs('fresh', O_RDWR | O_CREAT | O_EXCL),
      openAs('n', O_RDWR | O_CREAT),
      fs.readdirSync('.').sort(),
    ];
  },
  truncate: () => {
    pipe('p');
    fs.mkdirSync('d');
    const fd = fs.openSync('p', O_RDWR | O_NONBLOCK);
    const results = [
      outcome(() => {
        fs.truncateSync('d', 0);
      }),
      outcome(() => {
        fs.ftruncateSync(fd, 0);
      }),
      outcome(() => {
        fs.ftruncateSync(fd, 10);
      }),
    ];
    fs.closeSync(fd);
    return results;
  },
};
