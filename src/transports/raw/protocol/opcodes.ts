import { Opcode, SETXATTR_IN_BYTES } from './constants.ts';
import * as layouts from './layouts.ts';

/** What is known of a message of the kernel before it is served. */
export interface OpcodeInfo {
  /** As info/metrics and info/waits show it. */
  readonly name: string;
  /** The shortest body that can be served. */
  readonly minimumBytes: number;
  readonly isAnswered: boolean;
}

/** Every message of the kernel that is served, by opcode. Any other is ENOSYS, which the kernel remembers. */
export const opcodes: readonly (OpcodeInfo | undefined)[] = describe([
  [Opcode.INIT, 'init', layouts.InitIn.flags + 4],
  [Opcode.DESTROY, 'destroy', 0],
  [Opcode.INTERRUPT, 'interrupt', layouts.InterruptIn.bytes, false],
  [Opcode.FORGET, 'forget', layouts.ForgetIn.bytes, false],
  [Opcode.BATCH_FORGET, 'batch_forget', layouts.BatchForgetIn.bytes, false],
  [Opcode.STATFS, 'statfs', 0],
  [Opcode.LOOKUP, 'lookup', 1],
  [Opcode.MKNOD, 'mknod', layouts.MknodIn.bytes + 1],
  [Opcode.MKDIR, 'mkdir', layouts.MkdirIn.bytes + 1],
  [Opcode.SYMLINK, 'symlink', 2],
  [Opcode.READLINK, 'readlink', 0],
  [Opcode.LINK, 'link', layouts.LinkIn.bytes + 1],
  [Opcode.UNLINK, 'unlink', 1],
  [Opcode.RMDIR, 'rmdir', 1],
  [Opcode.RENAME, 'rename', layouts.RenameIn.bytes + 2],
  [Opcode.RENAME2, 'rename', layouts.Rename2In.bytes + 2],
  [Opcode.GETATTR, 'getattr', layouts.GetattrIn.bytes],
  [Opcode.SETATTR, 'setattr', layouts.SetattrIn.bytes],
  [Opcode.SETXATTR, 'setxattr', SETXATTR_IN_BYTES + 1],
  [Opcode.GETXATTR, 'getxattr', layouts.GetxattrIn.bytes + 1],
  [Opcode.LISTXATTR, 'listxattr', layouts.GetxattrIn.bytes],
  [Opcode.REMOVEXATTR, 'removexattr', 1],
  [Opcode.OPENDIR, 'opendir', layouts.OpenIn.bytes],
  [Opcode.READDIR, 'readdir', layouts.ReadIn.bytes],
  [Opcode.RELEASEDIR, 'releasedir', layouts.ReleaseIn.bytes],
  [Opcode.OPEN, 'open', layouts.OpenIn.bytes],
  [Opcode.CREATE, 'create', layouts.CreateIn.bytes + 1],
  [Opcode.READ, 'read', layouts.ReadIn.bytes],
  [Opcode.WRITE, 'write', layouts.WriteIn.bytes],
  [Opcode.RELEASE, 'release', layouts.ReleaseIn.bytes],
  [Opcode.POLL, 'poll', layouts.PollIn.bytes],
  [Opcode.IOCTL, 'ioctl', layouts.IoctlIn.bytes],
  [Opcode.GETLK, 'getlk', layouts.LkIn.bytes],
  [Opcode.SETLK, 'setlk', layouts.LkIn.bytes],
  [Opcode.SETLKW, 'setlkw', layouts.LkIn.bytes],
  [Opcode.FLUSH, 'flush', layouts.FlushIn.bytes],
]);

type Row = readonly [opcode: number, name: string, minimumBytes: number, isAnswered?: boolean];

function describe(rows: readonly Row[]): (OpcodeInfo | undefined)[] {
  const table: (OpcodeInfo | undefined)[] = [];
  for (const [opcode, name, minimumBytes, isAnswered = true] of rows)
    table[opcode] = { name, minimumBytes, isAnswered };
  return table;
}
