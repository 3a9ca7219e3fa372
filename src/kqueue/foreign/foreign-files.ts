import { Resource } from '../../kern/accounting.ts';
import { EAGAIN, EBADF, ENOENT, EPERM, ETIMEDOUT } from '../../kern/errno.ts';
import type { Credentials } from '../../kern/credentials.ts';
import { type File, knotesOfClosedFile } from '../../kern/file.ts';
import {
  type ForeignAnswer,
  type ForeignDescription,
  type ForeignHost,
  type ForeignRequest,
  type ForeignUser,
  Side,
} from '../../kern/foreign.ts';
import type { Kernel } from '../../kern/kernel.ts';
import { EVFILT_EXCEPT, EVFILT_READ, EVFILT_WRITE } from '../../kern/klist.ts';
import { type Operation, sleep, type WaitChannel, WakeReason } from '../../kern/operation.ts';
import type { Kqueue } from '../kqueue.ts';
import type { Registrar } from '../register.ts';
import { ForeignFile } from './foreign-file.ts';

/** A place is found within microseconds; after this it is taken for one that cannot be looked at. */
const FIND_TIMEOUT_MS = 2000;
/** A collect that does not learn what files show now goes by what they have shown before. */
const LOOK_TIMEOUT_MS = 200;
/** Pending knotes that one look is about. */
const LOOK_LIMIT = 256;

/** It is over in a moment: a change that has begun is applied, whatever signal comes meanwhile. */
const asking = { message: 'foreign', interruptible: false };

/** Where a change's ident leads to. */
export interface Location {
  /** Or a negative errno. */
  readonly file: File | number;
  /** Why there is none, for people. */
  readonly reason: string | null;
  /** The path within the mount that it leads to after all. */
  readonly insidePath: string | null;
}

/** A request that somebody waits for. */
interface Question {
  readonly uid: number;
  answer: ForeignAnswer | null;
  readonly channel: WaitChannel;
}

function refused(errno: number, reason: string | null = null): Location {
  return { file: errno, reason, insidePath: null };
}

function sideOf(filter: number): number {
  switch (filter) {
    case EVFILT_READ:
      return Side.Read;
    case EVFILT_WRITE:
      return Side.Write;
    case EVFILT_EXCEPT:
      return Side.Except;
    default:
      return Side.Notes;
  }
}

/**
 * The files outside of the mount that knotes watch. The host looks at them somewhere else, so what is known of one is what it has shown
 * when it was looked at last; a collect has them looked at before it takes their events.
 */
export class ForeignFiles {
  readonly #kernel: Kernel;
  readonly #host: ForeignHost;
  readonly #files = new Map<number, ForeignFile>();
  readonly #questions = new Map<number, Question>();
  #lastId = 0;
  /** Counts answers and collects: what was looked at since a collect began has a higher number. */
  #tick = 0;

  constructor(kernel: Kernel, host: ForeignHost) {
    this.#kernel = kernel;
    this.#host = host;
    host.onAnswer = (answer) => {
      this.#take(answer);
    };
  }

  get size(): number {
    return this.#files.size;
  }

  /**
   * Finds what a change is about: a descriptor of the caller's process, or of the process that opened the queue if that has the same file
   * under the number, or an absolute path with the caller's rights. A file that is found is used until `unuse`.
   */
  *locate(ident: number | string, filter: number, registrar: Registrar): Operation<Location> {
    const { credentials, openerPid } = registrar;
    if (credentials.isDelegated === true) return refused(-EPERM);
    const account = registrar.account ?? this.#kernel.accounts.of(credentials.uid);
    const refusal = account.charge(Resource.ForeignFiles);
    if (refusal !== 0) return refused(refusal);
    const pid = this.#kernel.host.processOf(credentials.pid);
    const side = sideOf(filter);
    const id = ++this.#lastId;
    const user = this.#userOf(credentials);
    const { uid } = user;
    const answer = yield* this.#ask(
      uid,
      typeof ident === 'number'
        ? { kind: 'descriptor', id, pid, otherPid: openerPid, descriptor: ident, side, user }
        : { kind: 'path', id, pid, path: ident, side, user },
    );
    if (typeof answer !== 'number' && answer.kind === 'found') {
      // What is known already has been charged for.
      if (this.#files.has(answer.description.file)) account.release(Resource.ForeignFiles);
      const file = this.#found(uid, answer.description, account);
      file.use();
      return { file, reason: null, insidePath: null };
    }
    account.release(Resource.ForeignFiles);
    if (typeof answer === 'number') {
      return refused(answer, answer === -ETIMEDOUT ? 'looking at files of this user does not get on' : null);
    }
    if (answer.kind === 'inside') {
      return { file: -ENOENT, reason: null, insidePath: answer.path };
    }
    return answer.kind === 'refused' ? refused(answer.errno, answer.reason) : refused(-EBADF);
  }

  #userOf({ uid, gid, groups, pid }: Credentials): ForeignUser {
    return { uid, gid, groups: groups ?? this.#kernel.host.supplementaryGroups(pid) };
  }

  /**
   * Brings what is known of the files of pending knotes up to date, as far as that is older than the caller's call, which began at `tick`.
   * `takesNews`: has the host tell besides what has happened to all watched files of the queue until now, which a collect that does not
   * wait would miss otherwise.
   */
  *look(kqueue: Kqueue, tick: number, takesNews: boolean): Operation<void> {
    const stale = this.#stale(kqueue, tick);
    for (const uid of takesNews ? [...kqueue.foreignUsers.keys()] : stale.keys()) {
      const files = stale.get(uid) ?? [];
      yield* this.#ask(uid, { kind: 'look', id: ++this.#lastId, files }, LOOK_TIMEOUT_MS);
    }
  }

  /** The present moment: what is looked at from now on is not stale for a call that begins now. */
  now(): number {
    return ++this.#tick;
  }

  /** Whether a scan of the queue would go by what was looked at before `tick`. */
  isStale(kqueue: Kqueue, tick: number): boolean {
    return this.#stale(kqueue, tick).size > 0;
  }

  #stale(kqueue: Kqueue, tick: number): Map<number, number[]> {
    const stale = new Map<number, number[]>();
    let left = LOOK_LIMIT;
    for (let knote = kqueue.firstPending; knote !== null && left > 0; knote = knote.nextPending, left--) {
      const file = knote.openFile;
      if (!(file instanceof ForeignFile) || file.lookedAt >= tick || file.isGone) continue;
      const files = stale.get(file.watcherUid);
      if (files === undefined) stale.set(file.watcherUid, [file.number]);
      else files.push(file.number);
    }
    return stale;
  }

  /** An answer, or a negative errno when there is none. */
  *#ask(
    uid: number,
    request: Exclude<ForeignRequest, { kind: 'forget' }>,
    timeoutMs = FIND_TIMEOUT_MS,
  ): Operation<ForeignAnswer | number> {
    const question: Question = { uid, answer: null, channel: this.#kernel.channel(this) };
    this.#questions.set(request.id, question);
    const error = this.#host.ask(uid, request);
    let reason: WakeReason = WakeReason.Awakened;
    while (error === 0 && question.answer === null && reason === WakeReason.Awakened) {
      reason = yield* sleep(question.channel, asking, timeoutMs);
    }
    this.#questions.delete(request.id);
    if (question.answer !== null) return question.answer;
    if (error !== 0) return error;
    return reason === WakeReason.Interrupted ? -EAGAIN : -ETIMEDOUT;
  }

  #take(answer: ForeignAnswer): void {
    if (answer.kind === 'state') {
      this.#stateChanged(answer);
      return;
    }
    const question = this.#questions.get(answer.id);
    if (question !== undefined) {
      question.answer = answer;
      question.channel.wakeup();
    } else if (answer.kind === 'found' && !this.#files.has(answer.description.file)) {
      // Nobody waits for it any more.
      this.#host.ask(0, { kind: 'forget', file: answer.description.file, count: 1 });
    } else if (answer.kind === 'found') {
      this.#files.get(answer.description.file)!.descriptionCount++;
    }
  }

  #stateChanged({ file: number, state, notes, news }: Extract<ForeignAnswer, { kind: 'state' }>): void {
    const file = this.#files.get(number);
    if (file === undefined) return;
    if (state === null) {
      file.isGone = true;
      this.#files.delete(number);
      file.use();
      knotesOfClosedFile(file);
      file.unuse();
      return;
    }
    file.state = state;
    file.lookedAt = ++this.#tick;
    if (news === 0) return;
    file.klist.forEach((knote) => {
      if ((sideOf(knote.filter) & news) !== 0 && knote.filterOps!.event(knote, notes)) knote.activate();
    });
  }

  #found(uid: number, description: ForeignDescription, account: ForeignFile['payer']): ForeignFile {
    let file = this.#files.get(description.file);
    if (file === undefined) {
      file = new ForeignFile(description, account, uid, (unused) => {
        this.#forget(unused);
      });
      this.#files.set(file.number, file);
    }
    file.state = description.state;
    file.lookedAt = ++this.#tick;
    file.descriptionCount++;
    return file;
  }

  #forget(file: ForeignFile): void {
    if (!this.#files.delete(file.number)) return;
    this.#host.ask(file.watcherUid, { kind: 'forget', file: file.number, count: file.descriptionCount });
  }
}
