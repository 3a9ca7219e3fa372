import * as fs from 'node:fs';
import { outcome, pipe, openAs, shown, as } from './calls.ts';

const { O_CREAT, O_NONBLOCK, O_RDONLY, O_RDWR } = fs.constants;
const OWNER = 1001;
const OTHER = 1002;
/** chown(2) leaves what is -1. */
const UNCHANGED = 2 ** 32 - 1;

/** Modes and owners. */
export const permissions: Readonly<Record<string, () => unknown>> = {
  'the umask': () => {
    const results: unknown[] = [];
    for (const mask of [0, 0o22, 0o77, 0o777]) {
      process.umask(mask);
      pipe(`p${mask}`);
      fs.mkdirSync(`d${mask}`);
      fs.closeSync(fs.openSync(`f${mask}`, O_RDWR | O_CREAT | O_NONBLOCK, 0o666));
      process.umask(0o22);
      results.push(shown(`p${mask}`), shown(`d${mask}`), shown(`f${mask}`));
    }
    return results;
  },
  'who may use a name': () => {
    pipe('p');
    fs.chownSync('p', OWNER, OWNER);
    const modes = [0o600, 0o060, 0o006, 0o400, 0o040, 0o200, 0o002, 0o444];
    return modes.map((mode) => {
      fs.chmodSync('p', mode);
      const tries = (): unknown[] => [openAs('p', O_RDONLY), openAs('p', O_RDWR)];
      return [as(OWNER, OTHER, tries), as(OTHER, OWNER, tries), as(OTHER, OTHER, tries), tries()];
    });
  },
  'who may change a directory': () => {
    fs.mkdirSync('d');
    pipe('d/p');
    fs.chownSync('d', OWNER, OWNER);
    return [0o700, 0o500, 0o300, 0o600, 0o777, 0o755].map((mode) => {
      fs.chmodSync('d', mode);
      return [OWNER, OTHER].map((uid) =>
        as(uid, uid, () => [
          outcome(() => {
            fs.mkdirSync('d/x');
            fs.rmdirSync('d/x');
          }),
          outcome(() => fs.readdirSync('d').length),
          outcome(() => {
            fs.statSync('d/p');
          }),
          outcome(() => {
            fs.renameSync('d/p', 'd/q');
            fs.renameSync('d/q', 'd/p');
          }),
          outcome(() => {
            fs.linkSync('d/p', 'd/l');
            fs.unlinkSync('d/l');
          }),
          outcome(() => {
            fs.symlinkSync('x', 'd/s');
            fs.unlinkSync('d/s');
          }),
        ]),
      );
    });
  },
  'a sticky directory': () => {
    fs.mkdirSync('d');
    fs.chmodSync('d', 0o1777);
    fs.chownSync('d', 0, 0);
    pipe('d/mine', 'd/theirs', 'd/other');
    fs.mkdirSync('d/dir');
    for (const name of ['mine', 'dir']) fs.chownSync(`d/${name}`, OWNER, OWNER);
    fs.chownSync('d/theirs', OTHER, OTHER);
    fs.mkdirSync('free');
    fs.chmodSync('free', 0o777);
    return as(OTHER, OTHER, () => [
      outcome(() => {
        fs.unlinkSync('d/mine');
      }),
      outcome(() => {
        fs.rmdirSync('d/dir');
      }),
      outcome(() => {
        fs.renameSync('d/mine', 'd/x');
      }),
      outcome(() => {
        fs.renameSync('d/mine', 'free/x');
      }),
      outcome(() => {
        fs.renameSync('d/theirs', 'd/mine');
      }),
      outcome(() => {
        fs.renameSync('d/dir', 'free/dir');
      }),
      outcome(() => {
        fs.renameSync('d/theirs', 'free/x');
        fs.renameSync('free/x', 'd/theirs');
      }),
      outcome(() => {
        fs.unlinkSync('d/theirs');
      }),
      outcome(() => {
        fs.unlinkSync('d/other');
      }),
    ]);
  },
  'who may change modes, owners and times': () => {
    pipe('p');
    fs.chownSync('p', OWNER, OWNER);
    fs.chmodSync('p', 0o666);
    const tries = (): unknown[] => [
      outcome(() => {
        fs.chmodSync('p', 0o664);
      }),
      outcome(() => {
        fs.chownSync('p', OTHER, UNCHANGED);
      }),
      outcome(() => {
        fs.chownSync('p', UNCHANGED, OTHER);
      }),
      outcome(() => {
        fs.chownSync('p', UNCHANGED, OWNER);
      }),
      outcome(() => {
        fs.utimesSync('p', 1, 1);
      }),
    ];
    return [as(OTHER, OTHER, tries), as(OWNER, OWNER, tries), shown('p'), tries(), shown('p')];
  },
  'set-user-id and set-group-id': () => {
    pipe('p', 'q', 'r');
    fs.mkdirSync('d');
    const results: unknown[] = [];
    for (const [name, mode] of [
      ['p', 0o6755],
      ['q', 0o6745],
      ['d', 0o6777],
    ] as const) {
      fs.chownSync(name, OWNER, OWNER);
      fs.chmodSync(name, mode);
      results.push(shown(name));
      fs.chownSync(name, OTHER, OTHER);
      results.push(shown(name));
      as(OTHER, OWNER, () =>
        results.push(
          outcome(() => {
            fs.chmodSync(name, mode);
          }),
        ),
      );
      results.push(shown(name));
    }
    fs.chmodSync('r', 0o6777);
    fs.chownSync('r', OWNER, OWNER);
    fs.chmodSync('r', 0o6777);
    as(OWNER, OWNER, () =>
      results.push(
        outcome(() => {
          fs.chownSync('r', OWNER, OWNER);
        }),
      ),
    );
    results.push(shown('r'));
    fs.chmodSync('d', 0o2777);
    as(OWNER, OWNER, () => {
      fs.mkdirSync('d/e');
      fs.closeSync(fs.openSync('d/f', O_RDWR | O_CREAT | O_NONBLOCK, 0o2755));
    });
    results.push(shown('d/e'), shown('d/f'));
    return results;
  },
};
