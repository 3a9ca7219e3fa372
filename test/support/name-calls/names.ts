import * as fs from 'node:fs';
import { outcome, pipe, makePipe, openAs, shown } from './calls.ts';

const { O_CREAT, O_EXCL, O_NOFOLLOW, O_RDWR } = fs.constants;
const LONGEST = 255;
const PATH_LIMIT = 4096;

/** Names, long ones and odd ones. */
export const names: Readonly<Record<string, () => unknown>> = {
  'longest name': () => [
    makePipe('x'.repeat(LONGEST)),
    outcome(() => {
      fs.unlinkSync('x'.repeat(LONGEST));
    }),
  ],
  'name too long': () => {
    const name = 'x'.repeat(LONGEST + 1);
    return [
      makePipe(name),
      outcome(() => {
        fs.mkdirSync(name);
      }),
      outcome(() => {
        fs.symlinkSync('t', name);
      }),
      outcome(() => {
        fs.unlinkSync(name);
      }),
      outcome(() => {
        fs.rmdirSync(name);
      }),
      outcome(() => {
        fs.statSync(name);
      }),
      openAs(name, O_RDWR | O_CREAT),
      outcome(() => {
        pipe('p');
        fs.renameSync('p', name);
      }),
      outcome(() => {
        fs.linkSync('p', name);
      }),
    ];
  },
  'path too long': () => {
    const path = './'.repeat(PATH_LIMIT / 2) + 'p';
    return [
      makePipe(path),
      outcome(() => {
        fs.mkdirSync(path);
      }),
      outcome(() => {
        fs.unlinkSync(path);
      }),
    ];
  },
  'target of a link too long': () => [
    outcome(() => {
      fs.symlinkSync('x'.repeat(PATH_LIMIT - 1), 's');
      return fs.readlinkSync('s').length;
    }),
    outcome(() => {
      fs.symlinkSync('x'.repeat(PATH_LIMIT), 't');
    }),
    outcome(() => {
      fs.symlinkSync('', 'u');
    }),
  ],
  'below what is no directory': () => {
    pipe('p');
    return [
      makePipe('p/x'),
      outcome(() => {
        fs.mkdirSync('p/x');
      }),
      outcome(() => {
        fs.unlinkSync('p/x');
      }),
      outcome(() => {
        fs.rmdirSync('p/x');
      }),
      outcome(() => {
        fs.renameSync('p/x', 'y');
      }),
      outcome(() => {
        fs.renameSync('p', 'p/x');
      }),
      outcome(() => {
        fs.linkSync('p', 'p/x');
      }),
      outcome(() => {
        fs.symlinkSync('t', 'p/x');
      }),
      outcome(() => {
        fs.chmodSync('p/x', 0);
      }),
      openAs('p/x', O_RDWR | O_CREAT),
      outcome(() => {
        fs.readdirSync('p');
      }),
    ];
  },
  'nothing there': () => [
    outcome(() => {
      fs.unlinkSync('n');
    }),
    outcome(() => {
      fs.rmdirSync('n');
    }),
    outcome(() => {
      fs.renameSync('n', 'm');
    }),
    outcome(() => {
      fs.linkSync('n', 'm');
    }),
    outcome(() => {
      fs.chmodSync('n', 0);
    }),
    outcome(() => {
      fs.chownSync('n', 1, 1);
    }),
    outcome(() => {
      fs.truncateSync('n', 0);
    }),
    outcome(() => {
      fs.utimesSync('n', 1, 1);
    }),
    outcome(() => {
      fs.readlinkSync('n');
    }),
    outcome(() => {
      fs.mkdirSync('n/m');
    }),
    outcome(() => {
      fs.renameSync('n/a', 'm');
    }),
    makePipe('n/m'),
    openAs('n', O_RDWR),
  ],
  'links in a circle': () => {
    fs.symlinkSync('b', 'a');
    fs.symlinkSync('a', 'b');
    return [
      outcome(() => {
        fs.statSync('a');
      }),
      outcome(() => {
        fs.statSync('a/x');
      }),
      outcome(() => {
        fs.chmodSync('a', 0);
      }),
      outcome(() => {
        fs.mkdirSync('a/x');
      }),
      outcome(() => {
        fs.unlinkSync('a/x');
      }),
      outcome(() => {
        fs.truncateSync('a', 0);
      }),
      openAs('a', O_RDWR),
      openAs('a', O_RDWR | O_CREAT),
      openAs('a', O_RDWR | O_NOFOLLOW),
      makePipe('a'),
      outcome(() => {
        fs.unlinkSync('a');
      }),
    ];
  },
  'what is there already': () => {
    pipe('p');
    fs.mkdirSync('d');
    fs.symlinkSync('none', 's');
    return ['p', 'd', 's'].map((name) => [
      makePipe(name),
      outcome(() => {
        fs.mkdirSync(name);
      }),
      outcome(() => {
        fs.symlinkSync('x', name);
      }),
      outcome(() => {
        fs.linkSync('p', name);
      }),
      openAs(name, O_RDWR | O_CREAT | O_EXCL),
    ]);
  },
  'directories that are not empty': () => {
    fs.mkdirSync('d/e', { recursive: true });
    fs.mkdirSync('f');
    return [
      outcome(() => {
        fs.rmdirSync('d');
      }),
      outcome(() => {
        fs.renameSync('f', 'd');
      }),
      outcome(() => {
        fs.renameSync('d', 'f');
      }),
      outcome(() => {
        fs.rmdirSync('f');
      }),
      shown('f'),
    ];
  },
  dots: () => {
    fs.mkdirSync('d');
    return [
      outcome(() => {
        fs.rmdirSync('d/.');
      }),
      outcome(() => {
        fs.rmdirSync('d/..');
      }),
      outcome(() => {
        fs.unlinkSync('d/.');
      }),
      outcome(() => {
        fs.unlinkSync('d/..');
      }),
      outcome(() => {
        fs.mkdirSync('d/.');
      }),
      outcome(() => {
        fs.mkdirSync('d/..');
      }),
      outcome(() => {
        fs.renameSync('d/.', 'e');
      }),
      outcome(() => {
        fs.renameSync('d/..', 'e');
      }),
      outcome(() => {
        fs.renameSync('d', 'd/.');
      }),
      makePipe('d/.'),
      outcome(() => fs.statSync('d/.').ino === fs.statSync('d').ino),
      outcome(() => fs.statSync('d/..').ino === fs.statSync('.').ino),
      outcome(() => fs.statSync('d/.././d').ino === fs.statSync('d').ino),
    ];
  },
  'trailing slashes': () => {
    pipe('p');
    fs.mkdirSync('d');
    fs.symlinkSync('d', 's');
    fs.symlinkSync('p', 't');
    return [
      outcome(() => {
        fs.statSync('p/');
      }),
      outcome(() => fs.statSync('d/').isDirectory()),
      outcome(() => fs.lstatSync('s/').isDirectory()),
      outcome(() => {
        fs.lstatSync('t/');
      }),
      outcome(() => {
        fs.unlinkSync('p/');
      }),
      outcome(() => {
        fs.unlinkSync('s/');
      }),
      outcome(() => {
        fs.rmdirSync('s/');
      }),
      outcome(() => {
        fs.mkdirSync('e/');
      }),
      makePipe('q/'),
      openAs('q/', O_RDWR | O_CREAT),
      openAs('p/', O_RDWR),
      outcome(() => {
        fs.renameSync('p', 'q/');
      }),
      outcome(() => {
        fs.renameSync('p/', 'q');
      }),
      outcome(() => {
        fs.renameSync('e/', 'g/');
      }),
      outcome(() => {
        fs.linkSync('p', 'q/');
      }),
      outcome(() => {
        fs.symlinkSync('x', 'q/');
      }),
      outcome(() => {
        fs.rmdirSync('g/');
      }),
    ];
  },
};
