/** Every topic of `ipcfs help`, and its line in the list. Parts of the README say which topics they belong to. */
export const TOPICS: ReadonlyMap<string, string> = new Map([
  ['tree', 'what there is in a mount'],
  ['pipes', 'named pipes and pairs'],
  ['kqueue', 'changes and events, a line each'],
  ['shm', 'segments, and the requests to shm/ctl'],
  ['sysctl', 'the tunables: names, ranges, defaults'],
  ['info', 'the tables in info/, and their columns'],
  ['waits', 'which calls can never end, and how that is known'],
]);
