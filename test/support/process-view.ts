import type { FileSeen, ProcessView } from '../../src/host/linux/sleepers/process-view.ts';

/** The minor number of the mount's device in tests. */
export const MINOR = 77;
/** A program on x86_64. */
const STACK = '0x7ffc00000000 0x7f0000000000';

export interface ThreadModel {
  syscall: string;
  wchan?: string;
  state?: string;
  switches?: number;
}

export interface FileModel extends FileSeen {
  readonly link: string;
  readonly isReadable: boolean;
  readonly isWritable: boolean;
  readonly info?: string;
  /** The open file; descriptors with the same number share it. */
  readonly openFile: number;
}

export interface ProcessModel {
  readonly uid?: number;
  readonly files: Readonly<Record<number, FileModel>>;
  readonly threads: Readonly<Record<number, ThreadModel>>;
  readonly memory?: Readonly<Record<string, Buffer>>;
  readonly caught?: bigint;
  readonly children?: string;
  readonly hasTimers?: boolean;
}

let lastOpenFile = 0;

/** A file of the mount. */
export function mountFile(inode: number, mode: 'r' | 'w' | 'rw' = 'r'): FileModel {
  return {
    deviceMajor: 0,
    deviceMinor: MINOR,
    inode,
    type: 'other',
    link: `/mnt/pipes/${inode}`,
    isReadable: mode.includes('r'),
    isWritable: mode.includes('w'),
    openFile: ++lastOpenFile,
  };
}

/** A file elsewhere. */
export function otherFile(type: FileSeen['type'], inode: number, link: string, info?: string): FileModel {
  const base = { ...mountFile(inode, 'rw'), deviceMinor: 15, type, link };
  return info === undefined ? base : { ...base, info };
}

export const eventfd = (): FileModel => otherFile('anonymous', 1038, 'anon_inode:[eventfd]');
export const pipe = (inode: number): FileModel => otherFile('pipe', inode, `pipe:[${inode}]`);

export function epoll(...watched: [descriptor: number, file: FileModel, events?: string][]): FileModel {
  const lines = watched.map(
    ([descriptor, { inode, deviceMinor }, events = '19']) =>
      `tfd: ${descriptor} events: ${events} data: 0  pos:0 ino:${inode.toString(16)} sdev:${deviceMinor.toString(16)}\n`,
  );
  return otherFile('anonymous', 1038, 'anon_inode:[eventpoll]', `pos:\t0\n${lines.join('')}`);
}

/** Text of /proc/PID/syscall on x86_64. */
export function syscall(number: number, ...words: number[]): string {
  const six = [...words, 0, 0, 0, 0, 0, 0].slice(0, 6);
  return `${number} ${six.map((word) => `0x${word.toString(16)}`).join(' ')} ${STACK}\n`;
}

/** Forever, as a 32-bit number. */
export const NO_LIMIT = 0xffff_ffff;

export const idle: ThreadModel = { syscall: syscall(202, 1, 0x189), wchan: 'futex_do_wait' };

export function pollOf(address: number, count: number, timeoutMs = NO_LIMIT): ThreadModel {
  return { syscall: syscall(7, address, count, timeoutMs), wchan: 'poll_schedule_timeout.constprop.0' };
}

export function epollWait(descriptor: number, timeoutMs = NO_LIMIT): ThreadModel {
  return { syscall: syscall(232, descriptor, 0x1000, 10, timeoutMs), wchan: 'ep_poll' };
}

export function pollfds(...descriptors: number[]): Buffer {
  const bytes = Buffer.alloc(8 * descriptors.length);
  descriptors.forEach((descriptor, index) => {
    bytes.writeInt32LE(descriptor, 8 * index);
    bytes.writeUInt16LE(1, 8 * index + 4);
  });
  return bytes;
}

/** A host with these processes, which answer truthfully. */
export function processView(processes: Readonly<Record<number, ProcessModel>>): ProcessView {
  const list = (found: object | undefined, most: number) => {
    if (found === undefined) return null;
    const numbers = Object.keys(found).map(Number);
    return { numbers: numbers.slice(0, most), isWhole: numbers.length <= most };
  };
  const fileOf = (pid: number, descriptor: number) => processes[pid]?.files[descriptor] ?? null;
  return {
    pids: () => Object.keys(processes).map(Number),
    uidOf: (pid) => processes[pid]?.uid ?? 0,
    descriptors: (pid, most) => list(processes[pid]?.files, most),
    threads: (pid, most) => list(processes[pid]?.threads, most),
    file: fileOf,
    access: fileOf,
    link: (pid, descriptor) => fileOf(pid, descriptor)?.link ?? null,
    info: (pid, descriptor) => fileOf(pid, descriptor)?.info ?? null,
    threadText(pid, thread, file) {
      const process = processes[pid];
      const model = process?.threads[thread];
      if (process === undefined || model === undefined) return null;
      switch (file) {
        case 'syscall':
          return model.syscall;
        case 'wchan':
          return model.wchan ?? '0';
        case 'children':
          return process.children ?? '';
        case 'status':
          return [
            `State:\t${model.state ?? 'S (sleeping)'}`,
            `SigCgt:\t${(process.caught ?? 0n).toString(16).padStart(16, '0')}`,
            `voluntary_ctxt_switches:\t${model.switches ?? 7}`,
            'nonvoluntary_ctxt_switches:\t1',
            '',
          ].join('\n');
      }
    },
    hasTimers: (pid) => processes[pid]?.hasTimers ?? false,
    command: (pid) => `program${pid}`,
    memory: (pid, address, sizeBytes) =>
      processes[pid]?.memory?.[`0x${address.toString(16)}`]?.subarray(0, sizeBytes) ?? null,
    isSameFile: (pid, descriptor, otherPid, otherDescriptor) =>
      fileOf(pid, descriptor)?.openFile === fileOf(otherPid, otherDescriptor)?.openFile,
  };
}
