/**
 * A file system over the package fuse-native that does nothing: one file, `null`, whose reads give zeros and whose writes are
 * taken and forgotten. Direct I/O.
 *
 *   null-fuse-native.js MODULE DIR     serves until SIGTERM; writes "ready" once it is mounted
 */
import { createRequire } from 'node:module';

type Reply = (errno: number, value?: unknown) => void;
type Handlers = Record<string, (...args: never[]) => void>;
type FuseModule = new (
  directory: string,
  handlers: Handlers,
  options: object,
) => {
  mount(done: (error: Error | null) => void): void;
  unmount(done: (error: Error | null) => void): void;
};

const ENOENT = -2;
const [moduleName, directory] = process.argv.slice(2);
const Fuse = createRequire(import.meta.url)(moduleName!) as FuseModule;

const times = { mtime: new Date(0), atime: new Date(0), ctime: new Date(0), uid: 0, gid: 0, nlink: 1 };
const handlers = {
  getattr(path: string, reply: Reply) {
    if (path === '/') reply(0, { ...times, mode: 0o040755, size: 0 });
    else if (path === '/null') reply(0, { ...times, mode: 0o100666, size: 0 });
    else reply(ENOENT);
  },
  open(_path: string, _flags: number, reply: Reply) {
    reply(0, 1);
  },
  read(_path: string, _handle: number, _buffer: Buffer, length: number, _position: number, reply: Reply) {
    reply(length);
  },
  write(_path: string, _handle: number, _buffer: Buffer, length: number, _position: number, reply: Reply) {
    reply(length);
  },
  truncate(_path: string, _size: number, reply: Reply) {
    reply(0);
  },
  release(_path: string, _handle: number, reply: Reply) {
    reply(0);
  },
} as unknown as Handlers;

const fuse = new Fuse(directory!, handlers, { directIO: true, timeout: false, force: true });
fuse.mount((error) => {
  if (error !== null) throw error;
  process.stdout.write('ready\n');
});
process.on('SIGTERM', () => {
  fuse.unmount(() => {
    process.exit(0);
  });
});
