/**
 * Makes calls on names and prints their results as JSON, an object by case. Run on two file systems, with the same cases, one says what
 * the other should have said. Argument: a directory, which is empty and on the file system.
 */
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';

const { O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY } =
  fs.constants;
const LONGEST = 255;
const PATH_LIMIT = 4096;
const OWNER = 1001;
const OTHER = 1002;
const SECOND = 1000;
/** chown(2) leaves what is -1. */
const UNCHANGED = 2 ** 32 - 1;
/** Time stamps of Linux move in steps of up to 10 ms. */
const CLOCK_STEP_MS = 15;

/** 'ok', what the call gives when that is a value, or the name of its error. */
function outcome(call: () => unknown): unknown {
  try {
    const result = call();
    return result === undefined ? 'ok' : result;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code;
  }
}

function pipe(...names: string[]): void {
  if (spawnSync('mkfifo', ['--', ...names], { stdio: 'ignore' }).status !== 0)
    throw new Error('mkfifo failed');
}

function makePipe(name: string): unknown {
  const { status, stderr } = spawnSync('mkfifo', ['--', name], { encoding: 'latin1' });
  return status === 0 ? 'ok' : stderr.slice(stderr.lastIndexOf(':') + 2).trim();
}

function openAs(path: string, flags: number): unknown {
  return outcome(() => {
    fs.closeSync(fs.openSync(path, flags | O_NONBLOCK, 0o644));
  });
}

/** Mode bits, links and owners: what must be the same; types and sizes are not. */
function shown(path: string): unknown {
  return outcome(() => {
    const { mode, nlink, uid, gid } = fs.lstatSync(path);
    return `${(mode & 0o7777).toString(8)} ${nlink} ${uid}:${gid}`;
  });
}

function as<T>(uid: number, gid: number, work: () => T): T {
  process.setegid!(gid);
  process.seteuid!(uid);
  try {
    return work();
  } finally {
    process.seteuid!(0);
    process.setegid!(0);
  }
}

/** Whether a call moves the times of a file: c, m and a. */
function moved(path: string, call: () => void): string {
  fs.lutimesSync(path, SECOND, SECOND);
  const before = fs.lstatSync(path, { bigint: true });
  const until = performance.now() + CLOCK_STEP_MS;
  while (performance.now() < until);
  call();
  const after = fs.lstatSync(path, { bigint: true });
  return [
    after.ctimeNs > before.ctimeNs ? 'c' : '-',
    after.mtimeNs > before.mtimeNs ? 'm' : '-',
    after.atimeNs > before.atimeNs ? 'a' : '-',
  ].join('');
}

const names: Readonly<Record<string, () => unknown>> = {
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

const moves: Readonly<Record<string, () => unknown>> = {
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

const openings: Readonly<Record<string, () => unknown>> = {
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

const permissions: Readonly<Record<string, () => unknown>> = {
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

const times: Readonly<Record<string, () => unknown>> = {
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

const results: Record<string, unknown> = {};
process.umask(0o22);
process.chdir(process.argv[2]!);
const base = process.cwd();
fs.chmodSync('.', 0o755);
for (const [name, run] of Object.entries({ ...names, ...moves, ...openings, ...permissions, ...times })) {
  const directory = `${base}/${name.replaceAll(' ', '-')}`;
  fs.mkdirSync(directory);
  process.chdir(directory);
  results[name] = outcome(run);
}
process.stdout.write(JSON.stringify(results));
