import { closeSync, openSync, readdirSync, readlinkSync } from 'node:fs';
import { readText } from '../bounded-read.ts';
import { descriptorInfo } from '../descriptors/descriptors.ts';
import { withDescriptors } from '../descriptors/spare-descriptor.ts';
import { fileOf } from '../file-status.ts';
import * as libc from '../libc.ts';
import { commandName, processStatus } from '../processes/processes.ts';
import type { Listed, ProcessView } from './process-view.ts';

/** An epoll with 1024 watches. */
const INFO_LIMIT_BYTES = 96 * 1024;
const MOST_MEMORY_BYTES = 8192;
/** Of the children of a thread the first will do. */
const ENTRIES_BYTES = 32 * 1024;
/** struct linux_dirent64. */
const ENTRY = { nextAt: 8, sizeAt: 16, nameAt: 19 } as const;

const S_IFMT = 0o170000;
const S_IFIFO = 0o010000;

const entries = Buffer.alloc(ENTRIES_BYTES);

/** The names of a directory that are numbers, `most` at most. */
function listNumbers(path: string, most: number): Listed | null {
  try {
    return withDescriptors(() => {
      const directory = openSync(path, 'r');
      try {
        const numbers: number[] = [];
        let isWhole = true;
        for (let place = 0n; isWhole;) {
          const sizeBytes = libc.readEntries(directory, place, entries);
          if (sizeBytes <= 0) break;
          for (let at = 0; at < sizeBytes; at += entries.readUInt16LE(at + ENTRY.sizeAt)) {
            place = entries.readBigInt64LE(at + ENTRY.nextAt);
            const end = entries.indexOf(0, at + ENTRY.nameAt);
            const name = entries.toString('latin1', at + ENTRY.nameAt, end);
            if (!/^\d+$/.test(name)) continue;
            if (numbers.length === most) isWhole = false;
            else numbers.push(Number(name));
          }
        }
        return { numbers, isWhole };
      } finally {
        closeSync(directory);
      }
    });
  } catch {
    return null;
  }
}

/** The processes of this host, by /proc. */
export const linuxProcesses: ProcessView = {
  pids: () => readdirSync('/proc').flatMap((name) => (/^\d+$/.test(name) ? [Number(name)] : [])),
  uidOf: (pid) => processStatus(pid)?.realUid ?? null,
  descriptors: (pid, most) => listNumbers(`/proc/${pid}/fd`, most),
  threads: (pid, most) => listNumbers(`/proc/${pid}/task`, most),
  file(pid, descriptor) {
    const seen = fileOf(`/proc/${pid}/fd/${descriptor}`);
    if (seen === null) return null;
    const [deviceMajor, deviceMinor, inode, mode] = seen;
    const type = (mode & S_IFMT) === S_IFIFO ? 'pipe' : (mode & S_IFMT) === 0 ? 'anonymous' : 'other';
    return { deviceMajor, deviceMinor, inode, type };
  },
  access: (pid, descriptor) => descriptorInfo(pid, descriptor),
  link(pid, descriptor) {
    try {
      return readlinkSync(`/proc/${pid}/fd/${descriptor}`);
    } catch {
      return null;
    }
  },
  info: (pid, descriptor) => readText(`/proc/${pid}/fdinfo/${descriptor}`, INFO_LIMIT_BYTES),
  threadText: (pid, thread, file) => readText(`/proc/${pid}/task/${thread}/${file}`),
  hasTimers: (pid) => readText(`/proc/${pid}/timers`) !== '',
  command: (pid) => commandName(pid),
  memory(pid, address, sizeBytes) {
    if (sizeBytes > MOST_MEMORY_BYTES) return null;
    const bytes = Buffer.alloc(sizeBytes);
    const count = libc.readMemory(pid, address, bytes);
    return count < 0 ? null : bytes.subarray(0, count);
  },
  isSameFile(pid, descriptor, otherPid, otherDescriptor) {
    const order = libc.kcmp(pid, otherPid, libc.KCMP_FILE, descriptor, otherDescriptor);
    return order < 0 ? null : order === 0;
  },
};
