/** A topic of `ipcfs help`. */
export interface TopicEntry {
  /** Its line in the list of topics. */
  readonly summary: string;
  /** The page whose marked parts are its text, relative to the package. */
  readonly page: string;
}

const guide = (name: string): string => `native-notes/guide/${name}.md`;

/** Every topic of `ipcfs help`. Parts of the pages say which topics they belong to. */
export const TOPICS: ReadonlyMap<string, TopicEntry> = new Map([
  ['examples', { summary: 'pipes, kqueues, segments and deadlocks in ten minutes', page: 'README.md' }],
  ['tree', { summary: 'the paths of a mount', page: guide('tree') }],
  ['pipes', { summary: 'named pipes and pairs', page: guide('pipes') }],
  ['options', { summary: 'options of a pipe: queues of lines, logs, broadcasts', page: guide('pipes') }],
  ['bridge', { summary: 'how records travel between machines', page: guide('across-machines') }],
  ['kqueue', { summary: 'changes and events, one line each', page: guide('kqueue') }],
  ['shm', { summary: 'segments, and the requests to shm/ctl', page: guide('shared-memory') }],
  ['faults', { summary: 'faults on demand, by requests to ctl', page: guide('debugging') }],
  ['sysctl', { summary: 'tunables: names, ranges, defaults; quotas', page: guide('tunables') }],
  ['info', { summary: 'the tables in info/, and their columns', page: guide('tree') }],
  ['trace', { summary: 'the lines of info/trace: words, fields and requests', page: guide('debugging') }],
  ['waits', { summary: 'which calls can never end, and how that is known', page: guide('debugging') }],
  ['run', { summary: 'a mount for one command, and the exit status', page: guide('test-bench') }],
  ['c', { summary: 'C programs that call kqueue(2), shmget(2) and pipe(2)', page: guide('c-programs') }],
  ['troubleshooting', { summary: 'symptoms, causes, and what to do', page: guide('troubleshooting') }],
]);
