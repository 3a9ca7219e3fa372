import * as fs from 'node:fs';
import { outcome, pipe, shown } from './calls.ts';

const { O_NONBLOCK, O_RDWR } = fs.constants;

/** Renames. */
export const moves: Readonly<Record<string, () => unknown>> = {
  'rename over': () => {
    pipe('p', 'q');
    fs.mkdirSync('d');
    fs.mkdirSync('e');
    fs.symlinkSync('x', 's');
    const inode = fs.statSync('p').ino;
    return [
      outcome(() => {
        fs.renameSync('p', 'd');
      }),
      outcome(() => {
        fs.renameSync('d', 'p');
      }),
      outcome(() => {
        fs.renameSync('d', 's');
      }),
      outcome(() => {
        fs.renameSync('s', 'd');
      }),
      outcome(() => {
        fs.renameSync('p', 'q');
      }),
      fs.statSync('q').ino === inode,
      outcome(() => {
        fs.renameSync('q', 's');
      }),
      outcome(() => {
        fs.renameSync('d', 'e');
      }),
      fs.readdirSync('.').sort(),
    ];
  },
  'rename to itself and into itself': () => {
    pipe('p');
    fs.mkdirSync('d/e', { recursive: true });
    return [
      outcome(() => {
        fs.renameSync('p', 'p');
      }),
      outcome(() => {
        fs.renameSync('d', 'd');
      }),
      outcome(() => {
        fs.renameSync('d', 'd/e');
      }),
      outcome(() => {
        fs.renameSync('d', 'd/f');
      }),
      outcome(() => {
        fs.renameSync('d', 'd/e/f');
      }),
      outcome(() => {
        fs.renameSync('d/e', 'd');
      }),
      shown('d'),
    ];
  },
  'numbers of links': () => {
    pipe('p');
    fs.mkdirSync('d/e/f', { recursive: true });
    const counts = [shown('p'), shown('d'), shown('d/e')];
    fs.linkSync('p', 'd/q');
    fs.renameSync('d/e/f', 'f');
    counts.push(shown('p'), shown('d/e'), shown('.'));
    fs.unlinkSync('p');
    fs.rmdirSync('d/e');
    counts.push(shown('d/q'), shown('d'));
    fs.mkdirSync('g');
    fs.renameSync('f', 'g');
    return [
      ...counts,
      shown('.'),
      outcome(() => {
        fs.linkSync('g', 'h');
      }),
    ];
  },
  'links to links': () => {
    pipe('p');
    fs.symlinkSync('p', 's');
    fs.linkSync('s', 't');
    return [
      fs.readlinkSync('t'),
      shown('s'),
      outcome(() => {
        fs.readlinkSync('p');
      }),
      outcome(() => {
        fs.rmdirSync('s');
      }),
    ];
  },
  'an open file whose name goes': () => {
    pipe('p', 'q');
    const fd = fs.openSync('p', O_RDWR | O_NONBLOCK);
    fs.unlinkSync('p');
    const links = [fs.fstatSync(fd).nlink];
    fs.closeSync(fd);
    const other = fs.openSync('q', O_RDWR | O_NONBLOCK);
    pipe('r');
    fs.renameSync('r', 'q');
    links.push(fs.fstatSync(other).nlink);
    fs.closeSync(other);
    return links;
  },
};
