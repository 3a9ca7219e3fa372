import type { Request } from '../protocol/request.ts';
import { Opcode } from '../protocol/constants.ts';
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
}

/** Every message of the kernel that is served, by opcode. Any other is ENOSYS, which the kernel remembers. */
export const opcodeTable: (OpcodeEntry | undefined)[] = [];

function define(
  opcode: number,
  name: string,
  minimumBytes: number,
  handle: Handler,
  isAnswered = true,
): void {
  opcodeTable[opcode] = { name, minimumBytes, isAnswered, handle };
}

define(Opcode.INIT, 'init', 16, connection.init);
define(Opcode.DESTROY, 'destroy', 0, connection.destroy);
define(Opcode.INTERRUPT, 'interrupt', 8, connection.interrupt, false);
define(Opcode.FORGET, 'forget', 8, connection.forget, false);
define(Opcode.BATCH_FORGET, 'batch_forget', 8, connection.batchForget, false);
define(Opcode.STATFS, 'statfs', 0, connection.statfs);
define(Opcode.LOOKUP, 'lookup', 1, names.lookup);
define(Opcode.MKNOD, 'mknod', 17, names.mknod);
define(Opcode.MKDIR, 'mkdir', 9, names.mkdir);
define(Opcode.SYMLINK, 'symlink', 2, names.symlink);
define(Opcode.READLINK, 'readlink', 0, names.readlink);
define(Opcode.LINK, 'link', 9, names.link);
define(Opcode.UNLINK, 'unlink', 1, names.unlink);
define(Opcode.RMDIR, 'rmdir', 1, names.rmdir);
define(Opcode.RENAME, 'rename', 10, names.rename);
define(Opcode.RENAME2, 'rename', 18, names.rename2);
define(Opcode.GETATTR, 'getattr', 16, attributes.getattr);
define(Opcode.SETATTR, 'setattr', 88, attributes.setattr);
define(Opcode.OPENDIR, 'opendir', 8, directories.opendir);
define(Opcode.READDIR, 'readdir', 40, directories.readdir);
define(Opcode.RELEASEDIR, 'releasedir', 24, directories.releasedir);
define(Opcode.OPEN, 'open', 8, files.open);
define(Opcode.CREATE, 'create', 17, files.create);
define(Opcode.READ, 'read', 40, files.read);
define(Opcode.WRITE, 'write', 40, files.write);
define(Opcode.RELEASE, 'release', 24, files.release);
define(Opcode.POLL, 'poll', 24, files.poll);
define(Opcode.IOCTL, 'ioctl', 32, files.ioctl);
define(Opcode.GETLK, 'getlk', 48, files.lock);
define(Opcode.SETLK, 'setlk', 48, files.lock);
define(Opcode.SETLKW, 'setlkw', 48, files.lock);
