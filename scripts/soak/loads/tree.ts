import { chmod, link, mkdir, open, readdir, rename, rm, symlink, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { expectSame, type Load, sh } from './round.ts';

const DIRECTORIES = ['.', 'one', 'two'];
const NAMES = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
const STEPS = 60;
/** What a symbolic link is in the model; pipes are numbers. */
const LINK = -1;

/** Names come and go, move and are replaced; in the end the directories hold what a model says. None of these calls waits. */
const names: Load = async ({ directory, name, random }) => {
  const base = join(directory, 'pipes', name);
  const model = new Map<string, number>();
  for (const child of DIRECTORIES) await mkdir(join(base, child), { recursive: true });
  const any = (): string => join(random.pick(DIRECTORIES), random.pick(NAMES));
  for (let step = 0; step < STEPS; step++) {
    const [from, to] = [any(), any()];
    const what = model.get(from);
    const kind = random.below(6);
    if (what === undefined) {
      if (kind < 4) await (await open(join(base, from), 'wx')).close();
      else await symlink('nowhere', join(base, from));
      model.set(from, kind < 4 ? step : LINK);
    } else if (kind < 2) {
      await rename(join(base, from), join(base, to));
      // Between two names of one pipe a rename does nothing.
      if (from !== to && (what === LINK || what !== model.get(to))) {
        model.delete(from);
        model.set(to, what);
      }
    } else if (kind === 2) {
      model.delete(from);
      await unlink(join(base, from));
    } else if (what !== LINK) {
      if (kind === 3 || model.has(to)) {
        await chmod(join(base, from), random.below(0o1000));
      } else {
        await link(join(base, from), join(base, to));
        model.set(to, what);
      }
    }
  }
  const seen: string[] = [];
  for (const child of DIRECTORIES) {
    for (const entry of await readdir(join(base, child))) {
      if (!DIRECTORIES.includes(entry)) seen.push(join(child, entry));
    }
  }
  expectSame('names', seen.sort().join(), [...model.keys()].sort().join());
  await rm(base, { recursive: true });
};

/** Every table is whole, whatever happens beside it. */
const tables: Load = async (round) => {
  const list = await sh(
    round,
    `cd info; for table in *.json; do echo "$table"; cat "$table"; printf '\\0'; done`,
  );
  for (const entry of list.split('\0').slice(0, -1)) {
    const end = entry.indexOf('\n');
    const rows = JSON.parse(entry.slice(end)) as unknown;
    if (!Array.isArray(rows)) throw new Error(`${entry.slice(0, end)} is no array`);
  }
  await sh(
    round,
    'cat info/pipes info/shm info/kqueues info/knotes info/handles info/waits info/metrics >/dev/null',
  );
};

/** What is looked at while it goes is missed, which is no failure. */
const looks: Load = async (round) => {
  await sh(
    round,
    `{ ls -lR pipes pairs kqueues shm; find info/content -type f -exec head -c 4096 {} + ; } >/dev/null 2>&1 || true`,
  );
};

/** Tunables that others run under. Those of a resize that is in the way of segments are EBUSY. */
const tunables: Load = async (round) => {
  const { random } = round;
  const direct = random.pick(['64K', '256K', '1M']);
  const least = random.pick(['8192', '16K', '64K']);
  const slots = random.between(96, 200);
  const seen = await sh(
    round,
    `cd sysctl/kern/ipc
     echo ${direct} > pipe_direct_max
     echo ${least} > pipe_mindirect
     echo ${slots} > shmmni 2>/dev/null || true
     if echo 0 > shmmni 2>/dev/null; then echo 'shmmni takes 0'; fi
     if echo x > pipe_direct_max 2>/dev/null; then echo 'pipe_direct_max takes x'; fi
     cat pipe_direct_max pipe_mindirect`,
  );
  const bytes = (text: string): number =>
    Number.parseInt(text, 10) * (text.endsWith('M') ? 1024 ** 2 : text.endsWith('K') ? 1024 : 1);
  expectSame('tunables', seen, `${bytes(direct)}\n${bytes(least)}\n`);
};

export const treeLoads: readonly Load[] = [names, names, tables, looks, tunables];
