import { O_RDWR, PROT_READ_WRITE } from '../../../test/support/driver-protocol.ts';
import { DriverChild } from '../children.ts';
import { expectSame, type Load, type Round, sh, sizeUpTo } from './round.ts';

const MAX_BYTES = 4 * 1024 * 1024;

function keyOf({ number }: Round): string {
  return `0x${(0x50a0_0000 + number).toString(16)}`;
}

/** A segment made of a file holds its bytes, and takes others. */
const copied: Load = async (round) => {
  const key = keyOf(round);
  const { source } = round;
  const count = sizeUpTo(round.random, MAX_BYTES);
  const seen = await sh(
    round,
    `head -c ${count} '${source}' > shm/${key}
     cmp -n ${count} '${source}' shm/${key}
     stat -c %s shm/${key}
     printf changed | dd of=shm/${key} conv=notrunc bs=1 count=${Math.min(7, count)} status=none
     head -c 7 shm/${key}; echo
     rm shm/${key}`,
  );
  expectSame('a segment', seen, `${count}\n${'changed'.slice(0, count)}\n`);
};

/** Private segments through the control file. */
const controlled: Load = async (round) => {
  const size = sizeUpTo(round.random, MAX_BYTES);
  const seen = await sh(
    round,
    `exec 3<>shm/ctl
     echo 'get private ${size} create 0600' >&3; read -r ok id <&3
     echo "attach $id" >&3; read -r answer rest <&3
     echo "stat $id" >&3; read -r line <&3; echo "$line" | grep -o 'size=[0-9]*\\|nattch=[0-9]*'
     echo "rmid $id" >&3; read -r answer <&3; echo "$answer"
     exec 3>&-`,
  );
  expectSame('a private segment', seen, `size=${size}\nnattch=1\nok\n`);
};

/** Two processes map a segment, one is killed, and the other still sees its stores. */
const mapped: Load = async (round) => {
  const { directory, random } = round;
  const path = `shm/${keyOf(round)}`;
  const size = sizeUpTo(random, MAX_BYTES);
  const byte = random.between(1, 255);
  await sh(round, `truncate -s ${size} ${path}`);
  const drivers = await Promise.all([DriverChild.start(directory), DriverChild.start(directory)]);
  try {
    for (const driver of drivers) {
      const fd = await driver.call({ call: 'open', path, flags: O_RDWR });
      await driver.call({ call: 'mmap', fd, length: size, protection: PROT_READ_WRITE });
      if (random.oneIn(2)) await driver.call({ call: 'close', fd });
    }
    const [first, second] = drivers;
    await first.call({ call: 'fill', mapping: 0, byte });
    if (random.oneIn(2)) await first.kill();
    const other = await second.call({ call: 'countOther', mapping: 0, byte });
    expectSame('stores that another process does not see', String(other), '0');
    if (random.oneIn(2)) await second.call({ call: 'munmap', mapping: 0 });
  } finally {
    await Promise.all(drivers.map((driver) => driver.kill()));
  }
  await sh(round, `rm ${path}`);
};

export const segmentLoads: readonly Load[] = [copied, copied, controlled, controlled, mapped];
