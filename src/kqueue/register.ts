import { type Account, Resource } from '../kern/accounting.ts';
import { type Credentials, rootCredentials } from '../kern/credentials.ts';
import { EBADF, EINVAL, ENOENT } from '../kern/errno.ts';
import type { File } from '../kern/file.ts';
import { EVFILT_PROC } from '../kern/klist.ts';
import { ForeignFile } from './foreign/foreign-file.ts';
import type { Filter } from './filters/filter.ts';
import { filterOf } from './filters/list.ts';
import { EV_TRACKED } from './filters/process.ts';
import { type Change, EV_ADD, EV_DELETE, EV_DISABLE, EV_ENABLE, Given } from './kevent.ts';
import { Knote, KnoteStatus } from './knote.ts';
import type { Kqueue } from './kqueue.ts';
import { ELSEWHERE } from './resolver.ts';

const MAX_DESCRIPTOR = 2 ** 31 - 1;

/** On whose behalf a change is applied. */
export interface Registrar {
  /** Who makes the call: its descriptors and paths are meant. */
  readonly credentials: Credentials;
  /** The process that opened the kqueue through which the change came: its signals are counted (decision D13). */
  readonly openerPid: number;
  /** What new knotes are charged to, where it is not the caller's. */
  readonly account?: Account;
}

/** The knote that a change is about, and the file behind its ident. */
interface Target {
  readonly knote: Knote | null;
  readonly file: File | null;
  /** The process whose descriptor the ident is; 0 when it is none. */
  readonly holderPid: number;
  /** A knote that was made when the path named another object: it goes when the new one has been made. */
  readonly stale: Knote | null;
}

/**
 * Applies one change (kqueue_register; K37 to K57, K123, K126). 0, a negative errno or UNDECIDED; but for 0 nothing has changed. The
 * change's fflags are then what a record about it shows (K21).
 */
export function register(kqueue: Kqueue, change: Change, registrar: Registrar): number {
  const { flags } = change;
  const filter = filterOf(change.filter);
  if (filter === undefined) return -EINVAL;
  const target =
    filter.identKind === 'file' ? findFile(kqueue, change, registrar) : findOther(kqueue, change);
  if (typeof target === 'number') return target;
  let { knote } = target;
  if (knote === null) {
    if ((flags & EV_ADD) === 0) return -ENOENT;
    const { accounts } = kqueue.subsystem.kernel;
    const account = registrar.account ?? accounts.of(registrar.credentials.uid);
    const refusal = account.charge(Resource.Knotes);
    if (refusal !== 0) return refusal;
    knote = new Knote(kqueue, change, target.file, account);
    const textRefusal = knote.reserve(change.udata);
    if (textRefusal !== 0) {
      knote.release();
      return textRefusal;
    }
    knote.setUdata(change.udata);
    knote.holderPid = target.holderPid;
    change.fflags = 0;
    kqueue.insert(knote);
    const error = filter.attach(knote, registrar);
    if (error !== 0) {
      kqueue.remove(knote);
      return error;
    }
    if (target.stale !== null) kqueue.drop(target.stale);
  } else if ((flags & (EV_ADD | EV_DELETE)) === EV_DELETE) {
    kqueue.drop(knote);
    return 0;
  } else {
    const error = modify(filter, knote, change);
    if (error !== 0) return error;
    if ((flags & EV_ADD) !== 0) knote.holderPid = target.holderPid;
  }
  knote.evaluate();
  if ((flags & EV_DISABLE) !== 0) knote.status |= KnoteStatus.Disabled;
  if ((flags & EV_ENABLE) !== 0 && knote.isDisabled) {
    knote.status &= ~KnoteStatus.Disabled;
    if ((knote.status & KnoteStatus.Active) !== 0) knote.activate();
  }
  return 0;
}

/** Registers a knote like the parent's for a forked child; its first event names the parent (K106). 0 or a negative errno. */
export function trackChild(parent: Knote, child: number): number {
  const change: Change = {
    ident: child,
    filter: EVFILT_PROC,
    flags: parent.flags | EV_ADD | EV_ENABLE | EV_TRACKED,
    fflags: parent.savedFflags,
    data: parent.ident as number,
    udata: parent.udata,
    label: null,
    given: Given.Everything,
  };
  // The user who registered the parent pays for the child too: forking is no way around a quota.
  return register(parent.kqueue, change, {
    credentials: rootCredentials,
    openerPid: 0,
    account: parent.account,
  });
}

function findOther(kqueue: Kqueue, change: Change): Target | number {
  if (typeof change.ident === 'string') return -EINVAL;
  return { knote: kqueue.find(change.filter, change.ident, null), file: null, holderPid: 0, stale: null };
}

/** The ident is resolved before the knote is looked for: a descriptor that is not open is EBADF, whatever is asked (K38). */
function findFile(kqueue: Kqueue, change: Change, { credentials, openerPid }: Registrar): Target | number {
  const { filter, ident } = change;
  const { environment, foreign } = kqueue.subsystem;
  const { resolver } = environment;
  if (typeof ident !== 'string') {
    if (typeof ident === 'bigint' || ident > MAX_DESCRIPTOR) return -EBADF;
    const file = change.location?.file ?? resolver.resolve(kqueue, ident, filter, credentials, null);
    if (file === ELSEWHERE && foreign === null) return -EBADF;
    if (typeof file === 'number') return file;
    if (file instanceof ForeignFile) {
      return { knote: kqueue.find(filter, ident, file), file, holderPid: file.holderPid, stale: null };
    }
    // A child that writes a change for the process that opened the kqueue, as a command of a shell does, may end before it matters.
    const holderPid = resolver.isOpen(openerPid, ident, file)
      ? openerPid
      : environment.processOf(credentials.pid);
    return { knote: kqueue.find(filter, ident, file), file, holderPid, stale: null };
  }
  const knote = kqueue.find(filter, ident, null);
  const adds = (change.flags & EV_ADD) !== 0;
  const file = resolvePath(kqueue, change, knote, credentials);
  if (file === ELSEWHERE && foreign === null) return -ENOENT;
  if (file === ELSEWHERE && (knote === null || adds)) return file;
  if (typeof file === 'number') {
    // A knote whose path is gone can still be changed and deleted by it.
    return knote !== null && !adds ? { knote, file: null, holderPid: 0, stale: null } : file;
  }
  if (knote === null || knote.openFile === file || !adds) return { knote, file, holderPid: 0, stale: null };
  return { knote: null, file, holderPid: 0, stale: knote };
}

/** The file that a path leads to; a negative errno, or ELSEWHERE. */
function resolvePath(
  kqueue: Kqueue,
  { ident, filter, location }: Change,
  knote: Knote | null,
  credentials: Credentials,
): File | number {
  if (location?.insidePath === null) return location.file;
  const path = location?.insidePath ?? (ident as string);
  const { resolver } = kqueue.subsystem.environment;
  return resolver.resolve(kqueue, path, filter, credentials, knote?.openFile ?? null);
}

/** Replaces what the knote was registered with (K44, K81, K90 to K94). Its flags stay as they were made (K45). */
function modify(filter: Filter, knote: Knote, change: Change): number {
  if (filter.modify !== undefined) {
    filter.modify(knote, change);
    return 0;
  }
  const replaced = filter.keepsValues ? change.given : Given.Everything;
  const udata = (replaced & Given.Udata) !== 0 ? change.udata : knote.udata;
  const refusal = knote.reserve(udata);
  if (refusal !== 0) return refusal;
  // What has expired until now has had the period that was.
  filter.refresh?.(knote);
  if ((replaced & Given.Fflags) !== 0) {
    const oldFflags = knote.savedFflags;
    knote.savedFflags = change.fflags;
    const error = knote.filterOps!.modified?.(knote, oldFflags) ?? 0;
    if (error !== 0) {
      knote.savedFflags = oldFflags;
      knote.setUdata(knote.udata);
      return error;
    }
  }
  if ((replaced & Given.Data) !== 0) knote.savedData = change.data;
  knote.setUdata(udata);
  return 0;
}
