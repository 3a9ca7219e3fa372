import type { Case } from './case.ts';

/** A queue on descriptor 3, and `next`, which reads one event into `event`. */
const QUEUE = `exec 3<>kqueue; next() { read -r -t 10 event <&3; }`;

export const kqueueCases: readonly Case[] = [
  {
    name: 'kqueue: a read event of a pipe tells the bytes',
    run: `${QUEUE}; exec 4<>pipes/a; echo 'add read pipes/a udata=j1' >&3; echo hello >&4; next
      test "$event" = 'read pipes/a data=6 flags=- fflags=0 udata=j1'; exec 3>&- 4>&-; rm pipes/a; echo ok`,
  },
  {
    name: 'kqueue: a write event of a pipe tells the room',
    run: `${QUEUE}; exec 4<>pipes/a; echo 'add write pipes/a oneshot' >&3; next; [[ $event == 'write pipes/a data='[1-9]* ]]
      exec 3>&- 4>&-; rm pipes/a; echo ok`,
  },
  {
    name: 'kqueue: a timer',
    run: `${QUEUE}; echo 'add timer 1 data=20ms oneshot udata=t' >&3; next
      test "$event" = 'timer 1 data=1 flags=oneshot,clear fflags=0 udata=t' -o "$event" = 'timer 1 data=1 flags=clear,oneshot fflags=0 udata=t'
      exec 3>&-; echo ok`,
  },
  {
    name: 'kqueue: a user event, and a blocked reader that it wakes',
    run: `touch kqueues/q; exec 3<>kqueues/q; echo 'add user 1 clear udata=u' >&3; head -n1 kqueues/q | grep -qx 'user 1 data=0 flags=clear fflags=0 udata=u' &
      until grep -q kqueues/q info/waits; do :; done; echo 'modify user 1 trigger' >&3; wait $!; exec 3>&-; rm kqueues/q; echo ok`,
  },
  {
    name: 'kqueue: vnode events of a directory and a pipe',
    run: `${QUEUE}; mkfifo pipes/a; echo 'add vnode pipes write clear' >&3; echo 'add vnode pipes/a attrib delete clear' >&3
      mkfifo pipes/b; next; [[ $event == 'vnode pipes '*'fflags=write '* ]]; chmod 600 pipes/a; next; [[ $event == 'vnode pipes/a '*'fflags=attrib '* ]]
      rm pipes/a; next; first=$event; next; [[ "$first $event" == *'vnode pipes/a '*delete* ]]; exec 3>&-; rm pipes/b; echo ok`,
  },
  {
    name: 'kqueue: the exit of a process',
    run: `${QUEUE}; sleep 10 & echo "add proc $! exit" >&3; kill $!; next; [[ $event == "proc $! data=0xf "*eof* ]]; exec 3>&-; echo ok`,
  },
  {
    name: 'kqueue: a change that fails is answered with its errno',
    run: `${QUEUE}; echo 'add read pipes/none udata=n' >&3; next; test "$event" = 'error read pipes/none errno=ENOENT udata=n'; exec 3>&-; echo ok`,
  },
  {
    name: 'kqueue: a line that cannot be parsed is EINVAL, and the next read explains it',
    run: `${QUEUE}; (echo 'add raed pipes' >&3) 2>&1 | grep -q 'Invalid argument'; next
      test "$event" = 'error line=1 errno=EINVAL unknown filter "raed"'; exec 3>&-; echo ok`,
  },
  {
    name: 'kqueue: a descriptor of the caller is watched as fd:N',
    needs: ['callerProcess'],
    run: `${QUEUE}; exec 4<>pipes/a; echo 'add read fd:4' >&3; echo x >&4; next; [[ $event == 'read fd:4 data=2 '* ]]; exec 3>&- 4>&-; rm pipes/a; echo ok`,
    without: `${QUEUE}; exec 4<>pipes/a; echo 'add read fd:4' >&3; next; test "$event" = 'error read fd:4 errno=EBADF udata=-'; exec 3>&- 4>&-; rm pipes/a; echo ok`,
  },
  {
    name: 'kqueue: signals of the process that opened it',
    needs: ['callerProcess'],
    run: `${QUEUE}; trap : USR1; echo 'add signal USR1' >&3; kill -USR1 $$; next; [[ $event == 'signal USR1 data='* ]]; exec 3>&-; echo ok`,
    without: `${QUEUE}; echo 'add signal USR1' >&3; next; test "$event" = 'error signal USR1 errno=EOPNOTSUPP udata=-'; exec 3>&-; echo ok`,
  },
  {
    name: 'info/waits names the process that waits',
    needs: ['callerProcess'],
    run: `mkfifo pipes/a; cat pipes/a & until grep -q "^ *$! open pipes/a" info/waits; do :; done; : > pipes/a; wait; rm pipes/a; echo ok`,
    without: `mkfifo pipes/a; cat pipes/a & until grep -q "^ *0 open pipes/a" info/waits; do :; done; : > pipes/a; wait; rm pipes/a; echo ok`,
  },
];
