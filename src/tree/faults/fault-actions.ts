import {
  EACCES,
  EAGAIN,
  EBUSY,
  EDQUOT,
  EINTR,
  EINVAL,
  EIO,
  EMFILE,
  ENFILE,
  ENOBUFS,
  ENODEV,
  ENOENT,
  ENOMEM,
  ENOSPC,
  ENOTTY,
  ENXIO,
  EPERM,
  EPIPE,
  EROFS,
  errnoName,
} from '../../kern/errno.ts';

/** The calls that faults hit. `attach` is the open of a segment too, `size` its truncate. */
export const FAULT_CALLS = ['open', 'read', 'write', 'poll', 'ioctl', 'attach', 'size'] as const;
export type FaultCall = (typeof FAULT_CALLS)[number];

/** What can be broken: pipes and ends of pairs are streams. */
export const OBJECT_KINDS = ['stream', 'queue', 'segment'] as const;
export type ObjectKind = (typeof OBJECT_KINDS)[number];

/** What a fault does to a call. `text`: as the request has it. */
export type FaultAction = { readonly text: string } & (
  | { readonly kind: 'errno'; readonly result: number }
  | { readonly kind: 'short' | 'split'; readonly sizeBytes: number }
  | { readonly kind: 'delay'; readonly delayMs: number }
  | { readonly kind: 'eof' | 'hangup' | 'stall' }
  | { readonly kind: 'signal'; readonly signal: string }
);
export type FaultActionKind = FaultAction['kind'];

interface ActionRule {
  readonly calls: readonly FaultCall[];
  readonly objects: readonly ObjectKind[];
  /** Why only these. */
  readonly reason: string;
}

/** What each action can be done to, so that a fault is what the host's kernel, or a BSD's, could have done. */
export const actionRules: Readonly<Record<FaultActionKind, ActionRule>> = {
  errno: {
    calls: ['open', 'read', 'write', 'ioctl', 'attach', 'size'],
    objects: OBJECT_KINDS,
    reason: 'a poll tells only readiness',
  },
  short: {
    calls: ['read', 'write'],
    objects: ['stream'],
    reason: 'only reads and writes of pipes and pairs may move a part of the bytes',
  },
  split: {
    calls: ['read', 'write'],
    objects: ['stream'],
    reason: 'only reads and writes of pipes and pairs may move a part of the bytes',
  },
  delay: {
    calls: ['open', 'read', 'write', 'attach'],
    objects: OBJECT_KINDS,
    reason: 'the others never wait',
  },
  eof: { calls: ['read'], objects: ['stream'], reason: 'only a read of a pipe or a pair has an end-of-file' },
  hangup: {
    calls: ['read', 'write', 'poll'],
    objects: ['stream'],
    reason: 'only these see whether a pipe or a pair has another side',
  },
  signal: {
    calls: ['open', 'read', 'write', 'attach'],
    objects: OBJECT_KINDS,
    reason: 'the others are over before a signal could end them',
  },
  stall: {
    calls: ['open', 'read', 'write', 'poll', 'attach'],
    objects: OBJECT_KINDS,
    reason: 'the others never wait',
  },
};

/** The errors that each call can fail with. */
const errnosOf: Readonly<Partial<Record<FaultCall, readonly number[]>>> = {
  open: [
    -EACCES,
    -EAGAIN,
    -EBUSY,
    -EDQUOT,
    -EINTR,
    -EIO,
    -EMFILE,
    -ENFILE,
    -ENODEV,
    -ENOENT,
    -ENOMEM,
    -ENOSPC,
    -ENXIO,
    -EPERM,
    -EROFS,
  ],
  read: [-EAGAIN, -EINTR, -EIO, -ENOBUFS, -ENOMEM, -ENXIO],
  write: [-EAGAIN, -EDQUOT, -EINTR, -EIO, -ENOBUFS, -ENOMEM, -ENOSPC, -ENXIO, -EPERM, -EPIPE],
  ioctl: [-EINTR, -EINVAL, -EIO, -ENOMEM, -ENOTTY, -ENXIO, -EPERM],
  attach: [-EACCES, -EAGAIN, -EINTR, -EINVAL, -EIO, -EMFILE, -ENFILE, -ENOENT, -ENOMEM, -EPERM],
  size: [-EACCES, -EDQUOT, -EINTR, -EINVAL, -EIO, -ENOMEM, -ENOSPC, -EPERM],
};

const nameToErrno = new Map(
  Object.values(errnosOf).flatMap((errnos) => errnos.map((errno) => [errnoName(errno), errno])),
);

/** The negative errno of a name that some call can fail with; null for another. */
export function errnoOf(name: string): number | null {
  return nameToErrno.get(name) ?? null;
}

/** Names of the errors that a call can fail with. */
export function errnoNamesOf(call: FaultCall): string[] {
  return (errnosOf[call] ?? []).map(errnoName);
}

/** The objects that a call is made on. */
export function objectsOf(call: FaultCall): readonly ObjectKind[] {
  return call === 'attach' || call === 'size' ? ['segment'] : ['stream', 'queue'];
}

/** Whether an action can be done to a call on an object. A write to a kqueue never waits. */
export function isPossible(action: FaultAction, call: FaultCall, object: ObjectKind): boolean {
  const { calls, objects } = actionRules[action.kind];
  if (!calls.includes(call) || !objects.includes(object) || !objectsOf(call).includes(object)) return false;
  if (action.kind === 'errno') return errnosOf[call]!.includes(action.result);
  return !(call === 'write' && object === 'queue' && (action.kind === 'delay' || action.kind === 'stall'));
}
