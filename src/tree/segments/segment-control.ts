import type { Credentials } from '../../kern/credentials.ts';
import { EINVAL, ENOMEM } from '../../kern/errno.ts';
import type { Operation } from '../../kern/operation.ts';
import { ShmProcess, shmexit } from '../../shm/attachments.ts';
import { TicketSpace } from '../../shm/address-space.ts';
import { IPC_CREAT, IPC_EXCL, IPC_PRIVATE, SHM_RDONLY } from '../../shm/flags.ts';
import type { SegmentStatus } from '../../shm/segment.ts';
import { shmat, shmdt } from '../../shm/shmat.ts';
import { ipcRemove, ipcSet, ipcStat } from '../../shm/shmctl.ts';
import { shmget } from '../../shm/shmget.ts';
import { shmLock, shmUnlock } from '../../shm/shmlock.ts';
import { Engine } from '../../vfs/metrics.ts';
import type { NodeContext } from '../../vfs/node.ts';
import { BadRequest, type Conversation, RequestFile } from '../control/request-file.ts';
import { parseNumber, quoted, refuseMore } from '../control/words.ts';
import type { SegmentFiles } from './segment-files.ts';
import { keyName } from './segment-node.ts';

const DEFAULT_MODE = 0o600;
/** What an attachment takes. */
const ATTACHMENT_BYTES = 512;

/** The requests whose first word is an id. */
const idCommands = new Set(['stat', 'set', 'rmid', 'lock', 'unlock', 'attach', 'detach']);

/** shm/ctl. The state of a conversation is its process: the attachments made through it. */
export class SegmentControl extends RequestFile<ShmProcess> {
  override readonly engine = Engine.SharedMemory;
  readonly #files: SegmentFiles;

  constructor(context: NodeContext, files: SegmentFiles) {
    super(context);
    this.#files = files;
  }

  protected override begin(caller: Credentials): ShmProcess {
    return new ShmProcess(caller, new TicketSpace());
  }

  protected override stateBytes(process: ShmProcess): number {
    return ATTACHMENT_BYTES * process.attachmentCount;
  }

  protected override end(process: ShmProcess): void {
    shmexit(this.#files.shm, process);
  }

  protected override *perform(
    talk: Conversation<ShmProcess>,
    [command, ...words]: readonly string[],
    credentials: Credentials,
  ): Operation<string | number> {
    const process = talk.state;
    const { shm } = this.#files;
    // Another writer of this file may have come while the last request waited.
    process.credentials = credentials;
    if (command === 'get') return yield* this.#get(credentials, words);
    if (command === undefined || !idCommands.has(command)) {
      throw new BadRequest(`unknown word ${quoted(command ?? '')}`);
    }
    const id = parseNumber(words[0], 'an id');
    const options = words.slice(1);
    if (command !== 'set' && !(command === 'attach' && options[0] === 'rdonly')) refuseMore(options);
    switch (command) {
      case 'stat': {
        const settling = this.#files.transport.settleDetaches();
        if (settling !== null) yield* settling;
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
        if (!talk.keep(ATTACHMENT_BYTES)) return -ENOMEM;
        const broken = yield* this.#attachFaults(id, credentials);
        if (broken !== 0) return broken;
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

  /** What faults on demand make of an attach: 0, or a negative errno. */
  *#attachFaults(id: number, credentials: Credentials): Operation<number> {
    const { faults } = this.context;
    const segment = faults === null ? null : this.#files.shm.table.find(id);
    return segment === null ? 0 : yield* faults!.beforeAttach(this.#files.nodeFor(segment), credentials);
  }

  *#get(
    credentials: Credentials,
    [keyWord, sizeWord, ...options]: readonly string[],
  ): Operation<string | number> {
    const key = keyWord === 'private' ? IPC_PRIVATE : parseNumber(keyWord, 'a key or private');
    if (key < 0 || key > 2 ** 32 - 1) throw new BadRequest(`${quoted(keyWord ?? '')} is no key`);
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

function parseMode(word: string): number {
  if (!/^[0-7]{1,4}$/.test(word)) throw new BadRequest(`unknown word ${quoted(word)}`);
  return parseInt(word, 8) & 0o777;
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
    else throw new BadRequest(`unknown word ${quoted(word)}`);
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
