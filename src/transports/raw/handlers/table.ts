import type { Request } from '../protocol/request.ts';
import { Opcode } from '../protocol/constants.ts';
import * as layouts from '../protocol/layouts.ts';
import type { Session } from '../session.ts';
import * as attributes from './attributes.ts';
import * as connection from './connection.ts';
import * as directories from './directories.ts';
import * as files from './files.ts';
import * as names from './names.ts';
import { ANSWERED, STARTED } from './results.ts';

export { ANSWERED, STARTED };

/**
 * Serves one request. Returns a negative errno, the length of the payload that it put into `session.reply`, STARTED when an
 * operation will answer, or ANSWERED when nothing more is to be sent.
 */
export type Handler = (session: Session, request: Request) => number;

export interface OpcodeEntry {
  readonly name: string;
  /** Shortest body that the handler can read. */
  readonly minimumBytes: number;
  readonly isAnswered: boolean;
  readonly handle: Handler;
  /** Undoes what the answer that lies in `session.reply` would have given the kernel, which did not want it. */
  readonly takeBack: ((session: Session) => void) | undefined;
}

/** Every message of the kernel that is served, by opcode. Any other is ENOSYS, which the kernel remembers. */
export const opcodeTable: (OpcodeEntry | undefined)[] = [];

function define(
  opcode: number,
  name: string,
  minimumBytes: number,
  handle: Handler,
  takeBack?: (session: Session) => void,
): void {
  opcodeTable[opcode] = { name, minimumBytes, isAnswered: true, handle, takeBack };
}

function defineUnanswered(opcode: number, name: string, minimumBytes: number, handle: Handler): void {
  opcodeTable[opcode] = { name, minimumBytes, isAnswered: false, handle, takeBack: undefined };
}

define(Opcode.INIT, 'init', layouts.InitIn.flags + 4, connection.init);
define(Opcode.DESTROY, 'destroy', 0, connection.destroy);
defineUnanswered(Opcode.INTERRUPT, 'interrupt', layouts.InterruptIn.bytes, connection.interrupt);
defineUnanswered(Opcode.FORGET, 'forget', layouts.ForgetIn.bytes, connection.forget);
defineUnanswered(Opcode.BATCH_FORGET, 'batch_forget', layouts.BatchForgetIn.bytes, connection.batchForget);
define(Opcode.STATFS, 'statfs', 0, connection.statfs);
define(Opcode.LOOKUP, 'lookup', 1, names.lookup, names.takeBackEntry);
define(Opcode.MKNOD, 'mknod', layouts.MknodIn.bytes + 1, names.mknod, names.takeBackEntry);
define(Opcode.MKDIR, 'mkdir', layouts.MkdirIn.bytes + 1, names.mkdir, names.takeBackEntry);
define(Opcode.SYMLINK, 'symlink', 2, names.symlink, names.takeBackEntry);
define(Opcode.READLINK, 'readlink', 0, names.readlink);
define(Opcode.LINK, 'link', layouts.LinkIn.bytes + 1, names.link, names.takeBackEntry);
define(Opcode.UNLINK, 'unlink', 1, names.unlink);
define(Opcode.RMDIR, 'rmdir', 1, names.rmdir);
define(Opcode.RENAME, 'rename', layouts.RenameIn.bytes + 2, names.rename);
define(Opcode.RENAME2, 'rename', layouts.Rename2In.bytes + 2, names.rename2);
define(Opcode.GETATTR, 'getattr', layouts.GetattrIn.bytes, attributes.getattr);
define(Opcode.SETATTR, 'setattr', layouts.SetattrIn.bytes, attributes.setattr);
define(Opcode.OPENDIR, 'opendir', layouts.OpenIn.bytes, directories.opendir, directories.takeBackOpendir);
define(Opcode.READDIR, 'readdir', layouts.ReadIn.bytes, directories.readdir);
define(Opcode.RELEASEDIR, 'releasedir', layouts.ReleaseIn.bytes, directories.releasedir);
define(Opcode.OPEN, 'open', layouts.OpenIn.bytes, files.open);
define(Opcode.CREATE, 'create', layouts.CreateIn.bytes + 1, files.create, files.takeBackCreate);
define(Opcode.READ, 'read', layouts.ReadIn.bytes, files.read);
define(Opcode.WRITE, 'write', layouts.WriteIn.bytes, files.write);
define(Opcode.RELEASE, 'release', layouts.ReleaseIn.bytes, files.release);
define(Opcode.POLL, 'poll', layouts.PollIn.bytes, files.poll);
define(Opcode.IOCTL, 'ioctl', layouts.IoctlIn.bytes, files.ioctl);
define(Opcode.GETLK, 'getlk', layouts.LkIn.bytes, files.lock);
define(Opcode.SETLK, 'setlk', layouts.LkIn.bytes, files.lock);
define(Opcode.SETLKW, 'setlkw', layouts.LkIn.bytes, files.lock);
