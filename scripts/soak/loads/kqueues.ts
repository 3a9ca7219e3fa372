import { fileURLToPath } from 'node:url';
import { expectSame, type Load, sh } from './round.ts';

const jobQueue = fileURLToPath(new URL('../../../../scripts/demo/job-queue.sh', import.meta.url));

/** Timers of all periods: each fires once. */
const timers: Load = async (round) => {
  const { random } = round;
  const count = random.between(1, 60);
  const seen = await sh(
    round,
    `exec 3<>kqueue
     for ((timer = 1; timer <= ${count}; timer++)); do
       echo "add timer $timer data=$((timer * 7919 % 50 + 1))ms oneshot udata=t$timer" >&3
     done
     for ((timer = 1; timer <= ${count}; timer++)); do read -r event <&3; echo "$event"; done | sort -V
     exec 3>&-`,
  );
  const events = Array.from({ length: count }, (_, index) => {
    return `timer ${index + 1} data=1 flags=clear,oneshot fflags=0 udata=t${index + 1}\n`;
  });
  expectSame('timers', seen, events.join(''));
};

/** A queue that two processes share by its name. */
const shared: Load = async (round) => {
  const { name } = round;
  const seen = await sh(
    round,
    `touch kqueues/${name}
     exec 3<>kqueues/${name}
     echo 'add user 1 clear udata=ready' >&3
     bash -c "exec 5<>kqueues/${name}; echo 'modify user 1 trigger' >&5" & child=$!
     read -r event <&3; echo "$event"
     wait $child
     exec 3>&-
     rm kqueues/${name}`,
  );
  expectSame('a user event', seen, 'user 1 data=0 flags=clear fflags=0 udata=ready\n');
};

/** The exit of a process, with its status. */
const processes: Load = async (round) => {
  const { name, random } = round;
  const status = random.between(1, 100);
  const seen = await sh(
    round,
    `mkfifo pipes/${name}
     exec 3<>kqueue
     { exec 3>&-; read -r line < pipes/${name}; exit ${status}; } & child=$!
     echo "add proc $child exit oneshot udata=p" >&3
     echo go > pipes/${name}
     read -r event <&3; echo "$event" | grep -o ' data=[0-9a-fx]*'
     exec 3>&-
     rm pipes/${name}`,
  );
  expectSame('an exit', seen, ` data=0x${(status * 256).toString(16)}\n`);
};

/** Changes of a directory, and bytes in a pipe. */
const files: Load = async (round) => {
  const { name, random } = round;
  const text = 'x'.repeat(random.between(1, 500));
  const seen = await sh(
    round,
    `mkdir pipes/${name}
     exec 3<>kqueue
     echo 'add vnode pipes/${name} write clear' >&3
     mkfifo pipes/${name}/a
     read -r event <&3; echo "$event"
     exec 4<>pipes/${name}/a
     echo 'add read pipes/${name}/a udata=r' >&3
     printf ${text} >&4
     read -r event <&3; echo "$event"
     exec 3>&- 4>&-
     rm -r pipes/${name}`,
  );
  const expected =
    `vnode pipes/${name} data=0 flags=clear fflags=write udata=-\n` +
    `read pipes/${name}/a data=${text.length} flags=- fflags=0 udata=r\n`;
  expectSame('events of files', seen, expected);
};

/** Jobs in one pipe that workers take in turn, as one queue tells them. */
const jobs: Load = async (round) => {
  const seen = await sh(round, `bash '${jobQueue}' . | sed 's/^worker [0-9]*: //' | sort -V`);
  const lines = Array.from({ length: 12 }, (_, index) => `job ${index + 1} gives ${(index + 1) ** 2}\n`);
  expectSame('jobs', seen, `all jobs are done\n${lines.join('')}`);
};

export const kqueueLoads: readonly Load[] = [timers, shared, processes, files, jobs];
