import { createHash } from 'node:crypto';
import { expectSame, type Load, type Round, sh, sizeUpTo } from './round.ts';

const BLOCK_BYTES = [1, 100, 512, 4096, 5461, 8191, 8192, 65_536, 100_000, 524_288, 1_048_576, 2_097_152];
/** Fewer bytes than these are moved in blocks of a few bytes: a test of load shall not consist of one-byte writes. */
const MAX_BLOCKS = 4000;
const RECORD_BYTES = 512;

interface Piece {
  readonly offset: number;
  readonly count: number;
  readonly sum: string;
}

function piece({ random, sourceBytes }: Round, limitBytes: number): Piece {
  const count = sizeUpTo(random, Math.min(limitBytes, sourceBytes.length));
  const offset = random.below(sourceBytes.length - count + 1);
  const sum = createHash('sha256')
    .update(sourceBytes.subarray(offset, offset + count))
    .digest('hex');
  return { offset, count, sum };
}

function sender(
  { source, random }: Round,
  { offset, count }: Piece,
  blockBytes = random.pick(BLOCK_BYTES),
): string {
  return `dd if='${source}' bs=${blockBytes} iflag=skip_bytes,count_bytes skip=${offset} count=${count} status=none`;
}

/** A stream of any size in blocks of any size: the same bytes come out. */
const transfer: Load = async (round) => {
  const { name, random } = round;
  const [writeBytes, readBytes] = [random.pick(BLOCK_BYTES), random.pick(BLOCK_BYTES)];
  const sent = piece(round, MAX_BLOCKS * Math.min(writeBytes, readBytes));
  const seen = await sh(
    round,
    `mkfifo pipes/${name}
     ${sender(round, sent, writeBytes)} > pipes/${name} & writer=$!
     dd if=pipes/${name} bs=${readBytes} status=none | sha256sum
     wait $writer
     rm pipes/${name}`,
  );
  expectSame(`${sent.count} bytes from ${sent.offset} on`, seen, `${sent.sum}  -\n`);
};

/** Several writers and an odd reader: records that are atomic come out whole. */
const records: Load = async (round) => {
  const { name, random } = round;
  const letters = ['a', 'b', 'c', 'd'].slice(0, random.between(2, 4));
  const count = random.between(10, 400);
  const seen = await sh(
    round,
    `mkfifo pipes/${name}
     exec 9<>pipes/${name} 8<pipes/${name}
     writers=()
     for letter in ${letters.join(' ')}; do
       { yes "$(printf '%0${RECORD_BYTES - 1}d' 0 | tr 0 $letter)" || true; } |
         dd bs=${RECORD_BYTES} count=${count} iflag=fullblock status=none > pipes/${name} 8<&- 9>&- & writers+=($!)
     done
     { dd bs=${random.between(100, 9000)} status=none | sort | uniq -c | tr -s ' ' | cut -c 1-8; } <&8 8<&- 9>&- & reader=$!
     exec 8<&-
     wait "\${writers[@]}"
     exec 9>&-
     wait $reader
     rm pipes/${name}`,
  );
  expectSame(
    'records',
    seen,
    letters.map((letter) => ` ${count} ${letter.repeat(8)}`.slice(0, 8) + '\n').join(''),
  );
};

/** Both directions of a pair at once. */
const pair: Load = async (round) => {
  const { name } = round;
  const [there, back] = [piece(round, 1_000_000), piece(round, 1_000_000)];
  const seen = await sh(
    round,
    `mkdir pairs/${name}
     exec 3<>pairs/${name}/0 4<>pairs/${name}/1
     ${sender(round, there, 8192)} >&3 & one=$!
     ${sender(round, back, 3000)} >&4 & other=$!
     head -c ${there.count} <&4 | sha256sum
     head -c ${back.count} <&3 | sha256sum
     wait $one $other
     exec 3>&- 4>&-
     rmdir pairs/${name}`,
  );
  expectSame('a pair', seen, `${there.sum}  -\n${back.sum}  -\n`);
};

export const pipeLoads: readonly Load[] = [transfer, transfer, transfer, records, pair];
