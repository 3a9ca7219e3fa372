/** Every topic of `ipcfs help`, and its line in the list. Parts of the README say which topics they belong to. */
export const TOPICS: ReadonlyMap<string, string> = new Map([
  ['tree', 'what there is in a mount'],
  ['pipes', 'named pipes and pairs'],
  ['options', 'what a pipe can do beyond BSD, and how to ask for it'],
  ['kqueue', 'changes and events, a line each'],
  ['shm', 'segments, and the requests to shm/ctl'],
  ['faults', 'how to break calls on purpose, by requests to ctl'],
  ['sysctl', 'the tunables: names, ranges, defaults'],
  ['info', 'the tables in info/, and their columns'],
  ['trace', 'the lines of info/trace: their words, fields and requests'],
  ['waits', 'which calls can never end, and how that is known'],
  ['run', 'a mount for one command, and what its exit status says'],
  ['c', 'C programs that call kqueue(2), shmget(2) and pipe(2)'],
]);
