import { Opcode } from '../protocol/constants.ts';
import type { Request } from '../protocol/request.ts';
import type { Answered, InFlight } from '../session/in-flight.ts';
import type { ServerParts } from '../session/server-parts.ts';
import * as attributes from './attributes.ts';
import * as connection from './connection.ts';
import * as directories from './directories.ts';
import * as extendedAttributes from './extended-attributes.ts';
import * as files from './files.ts';
import * as locks from './locks.ts';
import * as names from './names.ts';

/** Serves one request, and gives it its answer. */
export type Handler = (parts: ServerParts, request: Request, call: InFlight) => Answered;

/** A handler that never waits: its result is the answer, a negative errno or the length of the payload in `parts.reply`. */
type ImmediateHandler = (parts: ServerParts, request: Request) => number;

export interface Service {
  readonly handle: Handler;
  /** Undoes what the answer that lies in the reply would have given the kernel, which did not want it. */
  readonly takeBack: ((parts: ServerParts) => void) | undefined;
}

/** How each message is served, by opcode. What is known of messages without serving them is in protocol/opcodes.ts. */
export const services: (Service | undefined)[] = [];

function waiting(opcode: number, handle: Handler): void {
  services[opcode] = { handle, takeBack: undefined };
}

function immediate(opcode: number, handle: ImmediateHandler, takeBack?: (parts: ServerParts) => void): void {
  services[opcode] = { handle: (parts, request, call) => call.answer(handle(parts, request)), takeBack };
}

immediate(Opcode.INIT, connection.init);
immediate(Opcode.DESTROY, connection.destroy);
waiting(Opcode.INTERRUPT, connection.interrupt);
waiting(Opcode.FORGET, connection.forget);
waiting(Opcode.BATCH_FORGET, connection.batchForget);
immediate(Opcode.STATFS, connection.statfs);
immediate(Opcode.LOOKUP, names.lookup, names.takeBackEntry);
immediate(Opcode.MKNOD, names.mknod, names.takeBackEntry);
immediate(Opcode.MKDIR, names.mkdir, names.takeBackEntry);
immediate(Opcode.SYMLINK, names.symlink, names.takeBackEntry);
immediate(Opcode.READLINK, names.readlink);
immediate(Opcode.LINK, names.link, names.takeBackEntry);
immediate(Opcode.UNLINK, names.unlink);
immediate(Opcode.RMDIR, names.rmdir);
immediate(Opcode.RENAME, names.rename);
immediate(Opcode.RENAME2, names.rename2);
waiting(Opcode.GETATTR, attributes.getattr);
immediate(Opcode.SETATTR, attributes.setattr);
immediate(Opcode.SETXATTR, extendedAttributes.setxattr);
immediate(Opcode.GETXATTR, extendedAttributes.getxattr);
immediate(Opcode.LISTXATTR, extendedAttributes.listxattr);
immediate(Opcode.REMOVEXATTR, extendedAttributes.removexattr);
immediate(Opcode.OPENDIR, directories.opendir, directories.takeBackOpendir);
waiting(Opcode.READDIR, directories.readdir);
immediate(Opcode.RELEASEDIR, directories.releasedir);
waiting(Opcode.OPEN, files.open);
immediate(Opcode.CREATE, files.create, files.takeBackCreate);
waiting(Opcode.READ, files.read);
waiting(Opcode.WRITE, files.write);
waiting(Opcode.RELEASE, files.release);
immediate(Opcode.POLL, files.poll);
waiting(Opcode.IOCTL, files.ioctl);
immediate(Opcode.GETLK, locks.getlk);
waiting(Opcode.SETLK, locks.setlk);
waiting(Opcode.SETLKW, locks.setlkw);
immediate(Opcode.FLUSH, locks.flush);
