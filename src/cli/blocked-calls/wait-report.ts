import {
  type BlockedCallRow,
  type Deadlock,
  endersOf,
  isCertain,
  isInferred,
  isWaiting,
  REMOVED,
} from './wait-graph.ts';
import type { WaitsLook } from './holders.ts';
import { printable, toJson } from '../printable.ts';

/** Who a process is and what it does, for one that is not blocked in the mount. */
export interface ProcessDescription {
  readonly command: string;
  /** `sleeps in ep_poll`, `runs`. */
  readonly activity: string;
}

export type DescribeProcess = (pid: number) => ProcessDescription;

function duration(seconds: number): string {
  if (seconds < 100) return `${seconds.toFixed(1)} s`;
  const minutes = seconds / 60;
  return minutes < 100 ? `${minutes.toFixed(0)} min` : `${(minutes / 60).toFixed(0)} h`;
}

function nameOf({ process, pid, command }: BlockedCallRow): string {
  return process === '-' ? `thread ${pid}` : `${printable(command)} ${process}`;
}

/** `bash 4711 in read of pipes/a`. */
function describeCall(call: BlockedCallRow): string {
  return `${nameOf(call)} in ${call.call} of ${printable(call.object)}`;
}

/** Enumerates up to `limit` of them in words. */
function list(words: readonly string[], limit: number): string {
  const shown = words.length > limit ? [...words.slice(0, limit), `${words.length - limit} more`] : words;
  return shown.length === 1 ? shown[0]! : `${shown.slice(0, -1).join(', ')} and ${shown.at(-1)!}`;
}

const LISTED = 10;

/** The calls in words, in a row; of very many, the first. */
export function describeCalls(calls: readonly BlockedCallRow[]): string {
  return list(calls.map(describeCall), LISTED);
}

/** One line that says which calls never end, and which others hang on them. */
export function describeDeadlock({ calls, behind, doubts, isLikely }: Deadlock): string {
  const [first, ...others] = calls;
  const who = describeCalls(calls);
  const nobody = isLikely ? 'nobody else is seen that could end it' : 'nobody else can end it';
  let why = `wait for each other, and ${nobody}`;
  if (others.length === 0) {
    why =
      first!.object === REMOVED && first!.peers === 0
        ? 'waits for what nobody can open any more'
        : `waits for itself, and ${nobody}`;
  }
  const more = behind.length === 0 ? '' : `; behind it: ${describeCalls(behind)}`;
  if (doubts.length === 0) return `${isLikely ? 'likely deadlock' : 'deadlock'}: ${who} ${why}${more}`;
  return `possible deadlock: ${who} ${why}, unless it is somebody who was not seen (${doubts.join('; ')})${more}`;
}

/** One line for a call that has waited longer than it may. */
export function describeLongCall(call: BlockedCallRow): string {
  return `long wait: ${describeCall(call)} for ${duration(call.since)}, until ${call.until}`;
}

/** Calls on one object that the same processes can end. */
interface Group {
  readonly object: string;
  readonly calls: BlockedCallRow[];
  readonly enders: readonly number[];
}

function groupsOf({ calls, holders }: WaitsLook): Group[] {
  const enders = endersOf(calls, holders);
  const groups = new Map<string, Group>();
  for (const call of calls.filter(isWaiting)) {
    const key = `${call.ino} ${call.wait} ${call['peer-ino']}`;
    const group = groups.get(key);
    if (group !== undefined) group.calls.push(call);
    else groups.set(key, { object: call.object, calls: [call], enders: enders.get(call)! });
  }
  return [...groups.values()].sort((a, b) => (a.object < b.object ? -1 : a.object > b.object ? 1 : 0));
}

/** What a process that could end a wait is doing itself. */
function describeEnder(pid: number, callsByProcess: CallsByProcess, describe: DescribeProcess): string {
  const own = callsByProcess.get(pid);
  if (own === undefined) {
    const { command, activity } = describe(pid);
    return `${printable(command)} ${pid}, ${activity}`;
  }
  const calls = own.map((call) => `${call.call} of ${printable(call.object)}`);
  return `${nameOf(own[0]!)}, itself in ${list(calls, 2)}`;
}

type CallsByProcess = ReadonlyMap<number | '-', readonly BlockedCallRow[]>;

function byProcess(calls: readonly BlockedCallRow[]): CallsByProcess {
  const found = new Map<number | '-', BlockedCallRow[]>();
  for (const call of calls) {
    if (call.process === '-') continue;
    const own = found.get(call.process);
    if (own === undefined) found.set(call.process, [call]);
    else own.push(call);
  }
  return found;
}

const END_WORDS: Readonly<Record<string, string>> = {
  timeout: 'a timeout',
  others: 'something outside of the mount',
  threads: 'another thread of it',
};

/** What else ends a sleep that was inferred. */
function remarkOn(call: BlockedCallRow): string {
  if (!isInferred(call)) return '';
  const others = call.inferred === 'nothing' ? [] : call.inferred.split(',');
  if (others.length === 0) return ' (inferred)';
  return ` (inferred; or ${others.map((word) => END_WORDS[word] ?? 'something unknown').join(', ')})`;
}

function fit(line: string, columns: number): string {
  return line.length <= columns ? line : `${line.slice(0, columns - 1)}…`;
}

/**
 * The graph as lines for people: each object with the calls that wait for it, and below them who could end that. The deadlocks come
 * last, where a terminal shows them, and are not cut. `columns`: where lines are cut, Infinity for nowhere.
 */
export function formatWaits(look: WaitsLook, describe: DescribeProcess, columns: number): string {
  const lines: string[] = [];
  const callsByProcess = byProcess(look.calls.filter(isWaiting));
  for (const { object, calls, enders } of groupsOf(look)) {
    lines.push(fit(printable(object), columns));
    const names = calls.map(nameOf);
    const width = Math.max(...names.map((name) => name.length));
    const durations = calls.map((call) => (isInferred(call) ? '>' : '') + duration(call.since));
    const durationWidth = Math.max(...durations.map((text) => text.length));
    calls.forEach((call, index) => {
      const who = `${names[index]!.padEnd(width)}  ${call.call.padEnd('write'.length)}`;
      const text = `  ${who}  ${durations[index]!.padStart(durationWidth)}  until ${call.until}${remarkOn(call)}`;
      lines.push(fit(text, columns));
    });
    for (const pid of enders) {
      lines.push(fit(`    <- ${describeEnder(pid, callsByProcess, describe)}`, columns));
    }
  }
  if (!look.calls.some((call) => !isInferred(call))) lines.unshift('no call is blocked');
  const { hidden } = look.holders;
  if (hidden.length > 0) {
    const which =
      hidden.length === 1
        ? `process ${hidden[0]!}`
        : `${hidden.length} processes (${list(hidden.map(String), LISTED)})`;
    lines.push(`unknown: what ${which} may have open; as root it can be seen`);
  }
  for (const { process, command } of look.lockWaiters) {
    const who = `${printable(command)} ${process}`;
    lines.push(
      `not shown: ${who} (state D), which Linux keeps until another call on the same open file ends`,
    );
  }
  for (const deadlock of look.deadlocks) lines.push(describeDeadlock(deadlock));
  return lines.map((line) => `${line}\n`).join('');
}

/** `certain`, `likely` (it was inferred), `calls`, `behind`, `doubts`. */
export function deadlockAsObject(deadlock: Deadlock): object {
  const brief = ({ pid, process, command, call, object }: BlockedCallRow): object => ({
    pid,
    process,
    command,
    call,
    object,
  });
  const { calls, behind, doubts, isLikely } = deadlock;
  return {
    certain: isCertain(deadlock),
    likely: isLikely,
    calls: calls.map(brief),
    behind: behind.map(brief),
    doubts,
  };
}

/** The same for programs: `waits` (the rows of info/waits, each with `enders`), `deadlocks`, `hidden`, `lockWaiters`. */
export function waitsAsJson(look: WaitsLook, describe: DescribeProcess): string {
  const callsByProcess = byProcess(look.calls.filter(isWaiting));
  const enders = endersOf(look.calls, look.holders);
  const json = {
    waits: look.calls.map((call) => ({
      ...call,
      enders: enders.get(call)!.map((process) => {
        const own = callsByProcess.get(process);
        if (own === undefined) return { process, ...describe(process) };
        const activity = own.every(isInferred) ? 'polls' : 'blocked';
        return { process, command: own[0]!.command, activity };
      }),
    })),
    deadlocks: look.deadlocks.map(deadlockAsObject),
    hidden: look.holders.hidden,
    lockWaiters: look.lockWaiters,
  };
  return `${toJson(json, 2)}\n`;
}
