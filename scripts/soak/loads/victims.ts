import { LINUX_POLLIN, O_RDWR } from '../../../test/support/driver-protocol.ts';
import { Child, DriverChild } from '../children.ts';
import { type Load, type Round, sh } from './round.ts';

const LONGEST_LIFE_MS = 150;

/** Scripts that never end by themselves; each in another call. P is a pipe, KEY a key. */
const SCRIPTS: readonly string[] = [
  'exec cat P',
  'echo x > P',
  'exec 3<>P; exec cat <&3',
  'exec 3<>P; exec dd if=/dev/zero bs=1M count=3 >&3',
  'exec 3<>P; while :; do echo some more words; done >&3',
  'exec 3<>P; exec dd if=/dev/zero bs=5000 >&3',
  'cat /dev/zero > P & cat P > /dev/null',
  'exec 3<>kqueue; echo "add timer 1 data=3ms" >&3; exec cat <&3',
  'exec 3<>kqueue; echo "add read P" >&3; echo "add proc $$ exit" >&3; exec cat <&3',
  'while :; do echo "add user 1 clear" > kqueue; done',
  'exec 3>shm/KEY; dd if=/dev/zero bs=64K count=100 >&3; sleep 60',
  'exec 3>shm/KEY; cat shm/KEY',
  'exec 3<>shm/ctl; echo "get KEY 1M create" >&3; read -r ok id <&3; echo "attach $id" >&3; echo "rmid $id" >&3; sleep 60',
  'mkdir pairs/N; exec 3<>pairs/N/0; cat pairs/N/1',
  'while :; do ls -lR . ; cat $(find info -maxdepth 1 -type f); done',
  'while :; do : > P.new; mv P.new P; done',
];

/** kill -9 in the middle of any call of a shell tool, and of all its children. */
const killed: Load = async (round) => {
  const { directory, name, random } = round;
  const { pipe, key } = placesOf(round);
  const script = random
    .pick(SCRIPTS)
    .replaceAll('P', pipe)
    .replaceAll('KEY', key)
    .replaceAll('pairs/N', `pairs/${name}`);
  await sh(round, `mkfifo ${pipe}`);
  const victim = new Child('bash', ['--norc', '-c', script], directory);
  await new Promise((resolve) => setTimeout(resolve, random.below(LONGEST_LIFE_MS)));
  victim.kill();
  await victim.ended;
  await sh(
    round,
    `rm -f ${pipe} ${pipe}.new shm/${key}; if [ -e pairs/${name} ]; then rmdir pairs/${name}; fi`,
  );
};

/** kill -9 of a process that polls, or that maps a segment. */
const killedDriver: Load = async (round) => {
  const { directory, random } = round;
  const { pipe, key } = placesOf(round);
  await sh(round, `mkfifo ${pipe}; truncate -s 1M shm/${key}`);
  const driver = await DriverChild.start(directory);
  try {
    const pipeFd = await driver.call({ call: 'open', path: pipe, flags: O_RDWR });
    const segmentFd = await driver.call({ call: 'open', path: `shm/${key}`, flags: O_RDWR });
    await driver.call({ call: 'mmap', fd: segmentFd, length: 1024 ** 2, protection: 3 });
    if (random.oneIn(2)) driver.begin({ call: 'fill', mapping: 0, byte: 1 });
    driver.begin({ call: 'poll', fds: [{ fd: pipeFd, events: LINUX_POLLIN }], timeoutMs: -1 });
    await new Promise((resolve) => setTimeout(resolve, random.below(LONGEST_LIFE_MS)));
  } finally {
    await driver.kill();
  }
  await sh(round, `rm ${pipe} shm/${key}`);
};

function placesOf({ name, number }: Round): { pipe: string; key: string } {
  return { pipe: `pipes/${name}`, key: `0x${(0x0dea_0000 + number).toString(16)}` };
}

export const victimLoads: readonly Load[] = [killed, killed, killed, killed, killedDriver];
