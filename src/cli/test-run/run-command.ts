import { libraryFailure } from '../../host/linux/libc.ts';
import { dropAmbientCapabilities, ProcessTree } from '../../host/linux/processes/process-tree.ts';
import { exitNow } from '../exit.ts';
import { CommandFailure, EXIT_FAILURE, report, UsageFailure } from '../failures.ts';
import { settingsOf } from '../mount/mount-command.ts';
import type { ServingOptions } from '../mount/server-input.ts';
import { commandOf } from '../tables/objects.ts';
import { preloadEnvironment } from '../c-programs/preload.ts';
import { CommandProcess } from './command-process.ts';
import { DeadlockWatch } from './deadlock-watch.ts';
import { FaultFile, type FaultLine, readFaultFile } from './fault-file.ts';
import { GivenMount } from './given-mount.ts';
import { LeakCheck } from './leaks.ts';
import { PrivateMount } from './private-mount.ts';
import { announce, type Run, type RunFeature, type RunMount } from './run-feature.ts';
import { RunTrace } from './run-trace.ts';
import { TimeLimit } from './time-limit.ts';
import { filesFromOutside } from './user-namespace.ts';

export interface RunCommandOptions extends ServingOptions {
  /** In milliseconds. */
  readonly timeout?: number;
  readonly deadlock: 'fail' | 'report' | 'off';
  readonly leaks: boolean;
  /** The path of a file. */
  readonly faults?: string;
  /** The path of a file. */
  readonly trace?: string;
  /** A mount to use in place of a new one. */
  readonly mount?: string;
  /** Whether the command's own calls of shmget(2) and the like go to the mount. */
  readonly preload: boolean;
  /** And of pipe(2). */
  readonly pipes: boolean;
}

/** Between SIGTERM and SIGKILL for what has to end: a script may clean up. */
const GRACE_MS = 1000;

/** `ipcfs run`: mounts if it has to, runs the command, unmounts, and ends the process with the status of the run. */
export async function runCommand(words: readonly string[], options: RunCommandOptions): Promise<void> {
  if (words[0] === '') throw new UsageFailure("COMMAND is empty: name a program, as in 'ipcfs run -- ls'");
  if (process.platform !== 'linux') throw new CommandFailure('ipcfs run needs Linux: use ipcfs mount');
  if (libraryFailure !== null) throw libraryFailure;
  const environment = options.preload ? await preloadEnvironment(options) : {};
  const command = new CommandProcess(
    words.length > 0 ? words : [process.env['SHELL'] ?? '/bin/sh'],
    environment,
  );
  const { mount, faults } =
    options.mount === undefined
      ? await mountForRun(options)
      : { mount: new GivenMount(options.mount), faults: [] };
  if (mount.remark !== '') announce(mount.remark);
  const servers = mount.serverPid === null ? [] : [mount.serverPid];
  const tree = new ProcessTree(servers);
  const reap = (): void => {
    tree.reap(new Set([...servers, command.pid]));
  };
  process.on('SIGCHLD', reap);
  let status: number;
  try {
    status = await accompany(command, mount, tree, featuresOf(options, faults));
  } catch (error) {
    status = report(error);
  }
  let left = await tree.end(GRACE_MS);
  // From here on children are waited for by who starts them.
  process.off('SIGCHLD', reap);
  if (!(await mount.end())) {
    announce(`${mount.directory} could not be unmounted: run 'ipcfs umount ${mount.directory}'`);
    status = EXIT_FAILURE;
  }
  // What the server held in a call can end now.
  if (left.length > 0) left = await tree.end(0);
  for (const pid of left) announce(`${commandOf(pid)} ${pid} could not be ended: it is not yours, or hangs`);
  exitNow(status);
}

async function mountForRun(
  options: RunCommandOptions,
): Promise<{ mount: RunMount; faults: readonly FaultLine[] }> {
  const fromOutside = filesFromOutside();
  const isInNamespace = fromOutside !== null;
  const files = fromOutside ?? {
    settings: await settingsOf(options),
    faults: options.faults === undefined ? [] : await readFaultFile(options.faults),
  };
  const mount = await PrivateMount.make({ options, files, isInNamespace });
  // The server has what it needs to mount; the command is the user's own.
  if (isInNamespace) dropAmbientCapabilities();
  return { mount, faults: files.faults };
}

/** What accompanies a run: each option has its own, and a new one is a line here. */
function featuresOf(
  { timeout, deadlock, leaks, trace, mount }: RunCommandOptions,
  faults: readonly FaultLine[],
): RunFeature[] {
  // In a mount that others use, calls of theirs may end any wait.
  const watches = deadlock !== 'off' && mount === undefined;
  return [
    ...(trace === undefined ? [] : [new RunTrace(trace, !watches)]),
    ...(faults.length > 0 ? [new FaultFile(faults)] : []),
    ...(timeout === undefined ? [] : [new TimeLimit(timeout)]),
    ...(watches ? [new DeadlockWatch(deadlock === 'fail')] : []),
    ...(leaks ? [new LeakCheck()] : []),
  ];
}

/** Runs the command with the features. A feature, a signal or the end of the mount can end it early. */
async function accompany(
  command: CommandProcess,
  mount: RunMount,
  tree: ProcessTree,
  features: readonly RunFeature[],
): Promise<number> {
  let stop: (status: number) => void = () => undefined;
  const stopped = new Promise<number>((resolve) => (stop = resolve));
  const { directory } = mount;
  let isOver = false;
  let hasMountEnded = false;
  const run: Run = {
    mount: { path: directory, directory },
    tree,
    get isOver() {
      return isOver;
    },
    get hasMountEnded() {
      return hasMountEnded;
    },
    deadlockListeners: [],
    stop(status) {
      isOver = true;
      stop(status);
    },
  };
  void mount.ended.then(() => {
    hasMountEnded = true;
    if (isOver) return;
    const { lastWords } = mount;
    announce(
      `the mount has ended before the command: ${lastWords === '' ? 'its server was killed' : lastWords}`,
    );
    run.stop(EXIT_FAILURE);
  });
  try {
    for (const feature of features) await feature.begin?.(run);
  } catch (error) {
    isOver = true;
    throw error;
  }
  const finished = command.start(directory);
  for (const feature of features) feature.started?.();
  const first = await Promise.race([
    finished.then((status) => ({ status, isStopped: false })),
    stopped.then((status) => ({ status, isStopped: true })),
  ]);
  isOver = true;
  if (first.isStopped) {
    await tree.end(GRACE_MS);
    await endAll(features, run);
    return first.status;
  }
  const verdicts: (number | null)[] = [];
  for (const feature of features) verdicts.push((await feature.judge?.(run)) ?? null);
  await tree.end(GRACE_MS);
  verdicts.push(...(await endAll(features, run)));
  const verdict = verdicts.find((status) => status !== null) ?? null;
  if (verdict !== null && first.status !== 0) announce(`the command itself ended with ${first.status}`);
  return verdict ?? first.status;
}

async function endAll(features: readonly RunFeature[], run: Run): Promise<(number | null)[]> {
  const verdicts: (number | null)[] = [];
  for (const feature of features) verdicts.push((await feature.end?.(run)) ?? null);
  return verdicts;
}
