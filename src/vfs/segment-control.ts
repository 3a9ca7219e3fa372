import { type Credentials, writerCredentials } from '../kern/credentials.ts';
import { EAGAIN, EINTR, EINVAL, ENOMEM, errnoName } from '../kern/errno.ts';
import type { File, FileOps } from '../kern/file.ts';
import type { Operation } from '../kern/operation.ts';
import { POLLIN, POLLOUT, POLLRDNORM, PollQueue } from '../kern/poll.ts';
import { parseInteger } from '../kern/sysctl.ts';
import { ShmProcess, shmexit } from '../shm/attachments.ts';
import { TicketSpace } from '../shm/address-space.ts';
import { IPC_CREAT, IPC_EXCL, IPC_PRIVATE, SHM_RDONLY } from '../shm/flags.ts';
import type { SegmentStatus } from '../shm/segment.ts';
import { shmat, shmdt } from '../shm/shmat.ts';
import { ipcRemove, ipcSet, ipcStat } from '../shm/shmctl.ts';
import { shmget } from '../shm/shmget.ts';
import { shmLock, shmUnlock } from '../shm/shmlock.ts';
import { Engine } from './metrics.ts';
import { Node, type NodeContext, S_IFREG } from './node.ts';
import { noFileOps, type OpenFile } from './open-file.ts';
import type { SegmentFiles } from './segment-files.ts';
import { keyName } from './segments.ts';
import { bytesOfText, textOfBytes } from './text-file.ts';

const CONTROL_PERMISSIONS = 0o666;
const DEFAULT_MODE = 0o600;
const LINE_LIMIT_BYTES = 4096;
/** Answers that nobody reads: beyond this, writes are short, then EAGAIN, until somebody does. */
const ANSWER_LIMIT_BYTES = 64 * 1024;
/** About what a byte of a write takes while its requests are carried out, and what an attachment takes. */
const PARSED_BYTES = 16;
const ATTACHMENT_BYTES = 512;

/** The requests whose first word is an id. */
const idCommands = new Set(['stat', 'set', 'rmid', 'lock', 'unlock', 'attach', 'detach']);

/** What was asked is no request: why, for the person who wrote it. */
class BadRequest extends Error {
  override readonly name = 'BadRequest';
}

/** One open control file: half a request, answers not read yet, and the attachments made through it. */
interface Conversation {
  readonly process: ShmProcess;
  pending: string;
  answers: string;
  /** What the opener is charged for between two calls. */
  keptBytes: number;
  /** Who waits for answers to requests that somebody else writes. */
  readonly pollQueue: PollQueue;
}

/** shm/ctl: a request a line, an answer a line on the same descriptor. */
export class SegmentControl extends Node {
  override readonly type = S_IFREG;
  override readonly engine = Engine.SharedMemory;
  readonly #files: SegmentFiles;

  constructor(context: NodeContext, files: SegmentFiles) {
    super(context, { mode: CONTROL_PERMISSIONS, uid: 0, gid: 0 });
    this.#files = files;
  }

  override *open(file: OpenFile): Operation<number> {
    const process = new ShmProcess(this.#caller(file.credentials), new TicketSpace());
    file.isStream = true;
    file.ops = controlOps;
    file.data = {
      process,
      pending: '',
      answers: '',
      keptBytes: 0,
      pollQueue: new PollQueue(),
    } satisfies Conversation;
    return 0;
  }

  /** Takes whole lines and keeps the rest. A signal that ends a wait loses the requests after it, and says so. */
  *write(file: OpenFile, text: string, credentials: Credentials): Operation<number> {
    const talk = talkOf(file.data);
    if (talk.answers.length > ANSWER_LIMIT_BYTES) return -EAGAIN;
    // What the answers may come to, as they cannot be refused when the requests have been carried out.
    const heldBytes = ANSWER_LIMIT_BYTES + 2 * LINE_LIMIT_BYTES + PARSED_BYTES * text.length;
    if (!file.holdMore(heldBytes)) return -ENOMEM;
    try {
      return yield* this.#carryOut(file, talk, text, credentials);
    } finally {
      file.holdMore(-heldBytes);
      settleTalk(file, talk);
    }
  }

  *#carryOut(file: OpenFile, talk: Conversation, text: string, credentials: Credentials): Operation<number> {
    const lines = (talk.pending + text).split('\n');
    const rest = lines.pop()!;
    if (rest.length > LINE_LIMIT_BYTES || lines.some((line) => line.length > LINE_LIMIT_BYTES))
      return -EINVAL;
    const caller = this.#caller(writerCredentials(file.credentials, credentials));
    let taken = -talk.pending.length;
    talk.pending = '';
    for (const line of lines) {
      if (talk.answers.length > ANSWER_LIMIT_BYTES) break;
      taken += line.length + 1;
      const words = line.split(/[ \t]+/).filter((word) => word !== '');
      if (words.length === 0 || words[0]!.startsWith('#')) continue;
      // Another writer of this file may have come while the last request waited.
      talk.process.credentials = caller;
      const answer = yield* this.#answer(file, words);
      talk.answers += `${answer}\n`;
      talk.pollQueue.wakeup();
    }
    if (taken === text.length - rest.length) {
      talk.pending = rest;
      taken = text.length;
    }
    return taken;
  }

  end(talk: Conversation): void {
    shmexit(this.#files.shm, talk.process);
  }

  #caller(credentials: Credentials): Credentials {
    const { host } = this.context.kernel;
    return {
      ...credentials,
      pid: host.processOf(credentials.pid),
      groups: credentials.groups ?? host.supplementaryGroups(credentials.pid),
    };
  }

  *#answer(file: OpenFile, words: readonly string[]): Operation<string> {
    try {
      const result = yield* this.#perform(file, words);
      if (typeof result === 'string') return `ok ${result}`;
      // A wait that was refused is no signal.
      const refusal = result === -EINTR ? this.context.kernel.scheduler.currentRefusal : 0;
      if (refusal !== 0) return `error ${errnoName(refusal)}`;
      return result < 0 ? `error ${errnoName(-result)}` : 'ok';
    } catch (error) {
      if (error instanceof BadRequest) return `error EINVAL ${error.message}`;
      throw error;
    }
  }

  /** A word for the answer, 0 for a bare ok, or a negative errno. */
  *#perform(file: OpenFile, [command, ...words]: readonly string[]): Operation<string | number> {
    const talk = talkOf(file.data);
    const { process } = talk;
    const { shm } = this.#files;
    const { credentials } = process;
    if (command === 'get') return yield* this.#get(credentials, words);
    if (command === undefined || !idCommands.has(command)) {
      throw new BadRequest(`unknown word "${command ?? ''}"`);
    }
    const id = parseNumber(words[0], 'an id');
    const options = words.slice(1);
    if (command !== 'set' && !(command === 'attach' && options[0] === 'rdonly')) refuseMore(options);
    switch (command) {
      case 'stat': {
        const status = ipcStat(shm, credentials, id);
        return typeof status === 'number' ? status : describe(status);
      }
      case 'set': {
        const status = ipcStat(shm, { ...credentials, uid: 0 }, id);
        return typeof status === 'number' ? status : ipcSet(shm, credentials, id, change(status, options));
      }
      case 'rmid':
        return ipcRemove(shm, credentials, id);
      case 'lock':
        return shmLock(shm, process, id);
      case 'unlock':
        return shmUnlock(shm, process, id);
      case 'attach': {
        refuseMore(options.slice(1));
        const flags = options[0] === 'rdonly' ? SHM_RDONLY : 0;
        if (!file.holdMore(ATTACHMENT_BYTES)) return -ENOMEM;
        talk.keptBytes += ATTACHMENT_BYTES;
        const address = yield* shmat(shm, process, id, { flags });
        return address < 0 ? address : 0;
      }
      default: {
        // detach
        const own = [...process.attachments()].find(({ segment }) => segment.id === id);
        return own === undefined ? -EINVAL : shmdt(shm, process, own.address);
      }
    }
  }

  *#get(
    credentials: Credentials,
    [keyWord, sizeWord, ...options]: readonly string[],
  ): Operation<string | number> {
    const key = keyWord === 'private' ? IPC_PRIVATE : parseNumber(keyWord, 'a key or private');
    if (key < 0 || key > 2 ** 32 - 1) throw new BadRequest(`"${keyWord ?? ''}" is no key`);
    const sizeBytes = parseNumber(sizeWord, 'a size');
    let flags = 0;
    let mode = DEFAULT_MODE;
    let lingers = false;
    for (const word of options) {
      if (word === 'create') flags |= IPC_CREAT;
      else if (word === 'excl') flags |= IPC_EXCL;
      else if (word === 'linger') lingers = true;
      else mode = parseMode(word);
    }
    const id = yield* shmget(this.#files.shm, credentials, { key, sizeBytes, flags: flags | mode, lingers });
    return id < 0 ? id : String(id);
  }
}

function parseNumber(word: string | undefined, what: string): number {
  const value = word === undefined ? null : parseInteger(word);
  if (value === null)
    throw new BadRequest(word === undefined ? `${what} is missing` : `"${word}" is not ${what}`);
  return value;
}

function parseMode(word: string): number {
  if (!/^[0-7]{1,4}$/.test(word)) throw new BadRequest(`unknown word "${word}"`);
  return parseInt(word, 8) & 0o777;
}

function refuseMore(words: readonly string[]): void {
  if (words.length > 0) throw new BadRequest(`unknown word "${words[0]!}"`);
}

/** The options of `set`, over what the segment has. */
function change(
  status: SegmentStatus,
  words: readonly string[],
): { ownerUid: number; ownerGid: number; mode: number } {
  const wanted = {
    ownerUid: status.permissions.ownerUid,
    ownerGid: status.permissions.ownerGid,
    mode: status.permissions.mode,
  };
  for (const word of words) {
    const [name, value] = word.split('=', 2) as [string, string?];
    if (name === 'mode' && value !== undefined) wanted.mode = parseMode(value);
    else if (name === 'uid') wanted.ownerUid = parseNumber(value, 'a uid');
    else if (name === 'gid') wanted.ownerGid = parseNumber(value, 'a gid');
    else throw new BadRequest(`unknown word "${word}"`);
  }
  return wanted;
}

function describe(status: SegmentStatus): string {
  const { permissions } = status;
  return [
    `key=${keyName(permissions.key)}`,
    `size=${status.sizeBytes}`,
    `mode=${permissions.mode.toString(8).padStart(4, '0')}`,
    `uid=${permissions.ownerUid}`,
    `gid=${permissions.ownerGid}`,
    `cuid=${permissions.creatorUid}`,
    `cgid=${permissions.creatorGid}`,
    `nattch=${status.attachCount}`,
    `cpid=${status.creatorPid}`,
    `lpid=${status.lastPid}`,
    `atime=${status.attachTime.seconds}`,
    `dtime=${status.detachTime.seconds}`,
    `ctime=${status.changeTime.seconds}`,
  ].join(' ');
}

function talkOf(data: unknown): Conversation {
  return data as Conversation;
}

/** Charges for what is left of a conversation after a call, which is less than the call was charged for. */
function settleTalk(file: File, talk: Conversation): void {
  const keptBytes =
    talk.answers.length + talk.pending.length + ATTACHMENT_BYTES * talk.process.attachmentCount;
  if (file.holdMore(keptBytes - talk.keptBytes)) talk.keptBytes = keptBytes;
}

const controlOps: FileOps = {
  ...noFileOps,
  /** Answers that are there; 0 when there are none, as every request has been answered when its write returns. */
  *read(file, uio) {
    const talk = talkOf(file.data);
    const count = Math.min(uio.residual, talk.answers.length);
    const fault = uio.moveOut(bytesOfText(talk.answers.slice(0, count)), 0, count);
    if (fault !== 0) return -fault;
    talk.answers = talk.answers.slice(count);
    settleTalk(file, talk);
    return count;
  },
  *write(file, uio, credentials) {
    const bytes = new Uint8Array(uio.residual);
    const fault = uio.moveIn(bytes, 0, bytes.length);
    if (fault !== 0) return -fault;
    const control = (file as OpenFile).node as SegmentControl;
    return yield* control.write(file as OpenFile, textOfBytes(bytes), credentials);
  },
  poll(file, events, poller) {
    const talk = talkOf(file.data);
    if (poller !== null) talk.pollQueue.record(poller);
    const hasAnswers = talk.answers !== '';
    return events & (hasAnswers ? POLLIN | POLLRDNORM | POLLOUT : POLLOUT);
  },
  *close(file) {
    ((file as OpenFile).node as SegmentControl).end(talkOf(file.data));
    return 0;
  },
};
