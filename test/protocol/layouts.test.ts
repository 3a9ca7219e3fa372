import { describe, expect, test } from 'vitest';
import * as constants from '../../src/transports/raw/protocol/constants.ts';
import * as openFlags from '../../src/transports/common/open-flags.ts';
import { ioctlCommands, IOCTL_GET_HANDLE, IOCTL_KEVENT } from '../../src/transports/common/ioctl.ts';
import * as layouts from '../../src/transports/raw/protocol/layouts.ts';
import { Reply } from '../../src/transports/raw/protocol/reply.ts';
import { ReceiveBuffer, Request } from '../../src/transports/raw/protocol/request.ts';
import { runC, whyNoCompiler } from '../support/c-program.ts';

const HEADER = '/usr/include/linux/fuse.h';
const missing = whyNoCompiler(HEADER);

/** What came with protocol 7.40 at the latest; older headers may not have it. */
const PASSTHROUGH_MINOR = 40;
const newNames = new Set([
  'FUSE_COMPAT_SETXATTR_IN_SIZE',
  'FUSE_HANDLE_KILLPRIV_V2',
  'FATTR_KILL_SUIDGID',
  'fuse_open_out.backing_id',
  'fuse_init_out.max_stack_depth',
  'FOPEN_PASSTHROUGH',
  'FUSE_PASSTHROUGH >> 32',
  'FUSE_DEV_IOC_BACKING_OPEN',
  'FUSE_DEV_IOC_BACKING_CLOSE',
]);

function snakeCase(name: string): string {
  return name.replace(/(?<!^)([A-Z])/g, '_$1').toLowerCase();
}

/** Expected values by their name in C: `struct.field`, `sizeof struct` or a constant expression. */
const expected = new Map<string, number>();
for (const [name, layout] of Object.entries(layouts)) {
  const struct = `fuse_${snakeCase(name)}`;
  for (const [field, offset] of Object.entries(layout)) {
    expected.set(field === 'bytes' ? `sizeof ${struct}` : `${struct}.${snakeCase(field)}`, offset);
  }
}
expected.set('sizeof fuse_in_header', constants.IN_HEADER_BYTES);
expected.set('sizeof fuse_out_header', constants.OUT_HEADER_BYTES);
for (const [name, value] of Object.entries(constants.Opcode)) expected.set(`FUSE_${name}`, value);
for (const [name, value] of Object.entries(constants.InitFlag)) expected.set(`FUSE_${name}`, value);
for (const [name, value] of Object.entries(constants)) {
  if (typeof value !== 'number') continue;
  if (/^(FOPEN|FATTR|RENAME)_/.test(name) || /^FUSE_(ROOT|KERNEL_VERSION|DEV)/.test(name))
    expected.set(name, value);
}
for (const [name, value] of Object.entries(openFlags)) {
  if (typeof value === 'number' && name.startsWith('LINUX_O_')) {
    expected.set(name.slice('LINUX_'.length), value);
  }
}
expected.set('FUSE_PASSTHROUGH >> 32', constants.INIT2_PASSTHROUGH);
expected.set('FUSE_NOTIFY_POLL', constants.NOTIFY_POLL);
expected.set('FUSE_COMPAT_SETXATTR_IN_SIZE', constants.SETXATTR_IN_BYTES);
expected.set('FUSE_NOTIFY_STORE', constants.NOTIFY_STORE);
expected.set('FUSE_POLL_SCHEDULE_NOTIFY', constants.POLL_SCHEDULE_NOTIFY);
expected.set('FUSE_LK_FLOCK', constants.LK_FLOCK);
expected.set('F_RDLCK', constants.LockType.Shared);
expected.set('F_WRLCK', constants.LockType.Exclusive);
expected.set('F_UNLCK', constants.LockType.Unlocked);
expected.set('FUSE_READ_LOCKOWNER', constants.READ_LOCKOWNER);
expected.set("_IOR('K', 1, unsigned long long)", IOCTL_GET_HANDLE);
expected.set("_IOC(_IOC_READ | _IOC_WRITE, 'K', 2, 0)", IOCTL_KEVENT);
const ioctlNames = [
  "_IOR('f', 127, int)",
  "_IOW('f', 126, int)",
  "_IOW('f', 125, int)",
  "_IOW('f', 124, int)",
  "_IOR('f', 123, int)",
  "_IOW('t', 118, int)",
  "_IOR('t', 119, int)",
];
[...ioctlCommands.keys()].forEach((command, index) => {
  expected.set(ioctlNames[index]!, command);
});

const inHeaderFields = ['len', 'opcode', 'unique', 'nodeid', 'uid', 'gid', 'pid'] as const;
const outHeaderFields = ['len', 'error', 'unique'] as const;

function cExpression(name: string): string {
  if (name.startsWith('sizeof ')) return `sizeof(struct ${name.slice('sizeof '.length)})`;
  const [struct, field] = name.split('.');
  return field === undefined ? name : `offsetof(struct ${struct!}, ${field})`;
}

function program(names: Iterable<string>): string {
  const lines = [
    '#include <stddef.h>',
    '#include <stdio.h>',
    '#include <fcntl.h>',
    '#include <sys/ioctl.h>',
    '#include <linux/fs.h>',
    `#include <${HEADER.slice('/usr/include/'.length)}>`,
    'int main(void) {',
    'printf("minor\\t%d\\n", FUSE_KERNEL_MINOR_VERSION);',
  ];
  for (const name of names) {
    if (newNames.has(name)) lines.push(`#if FUSE_KERNEL_MINOR_VERSION >= ${PASSTHROUGH_MINOR}`);
    lines.push(`printf("%s\\t%lld\\n", "${name}", (long long) (${cExpression(name)}));`);
    if (newNames.has(name)) lines.push('#endif');
  }
  return [...lines, 'return 0; }', ''].join('\n');
}

function measure(names: readonly string[]): Map<string, number> {
  const lines = runC(program(names)).trim().split('\n');
  return new Map(lines.map((line) => [line.split('\t')[0]!, Number(line.split('\t')[1])]));
}

describe.skipIf(missing !== null)(`layouts and numbers${missing === null ? '' : ` (${missing})`}`, () => {
  test('every structure, field and number that is used is that of fuse.h', () => {
    const measured = measure([...expected.keys()]);
    const minor = measured.get('minor')!;
    const known = [...expected].filter(([name]) => minor >= PASSTHROUGH_MINOR || !newNames.has(name));
    expect(known.length).toBeGreaterThan(170);
    measured.delete('minor');
    expect(Object.fromEntries(measured)).toEqual(Object.fromEntries(known));
  });

  test('the header of a request is read where fuse.h has it', () => {
    const offsets = measure(inHeaderFields.map((field) => `fuse_in_header.${field}`));
    const buffer = new ReceiveBuffer(new ArrayBuffer(256));
    const view = new DataView(buffer.bytes.buffer);
    inHeaderFields.forEach((field, index) => {
      view.setUint32(offsets.get(`fuse_in_header.${field}`)!, field === 'len' ? 100 : 1000 + index, true);
    });
    const request = new Request(buffer);
    expect(request.parse(buffer, 100)).toBe(true);
    const { opcode, unique, nodeid, credentials } = request;
    expect({ opcode, unique, nodeid, ...credentials }).toEqual({
      opcode: 1001,
      unique: 1002,
      nodeid: 1003,
      uid: 1004,
      gid: 1005,
      pid: 1006,
    });
  });

  test('the header of an answer is written where fuse.h has it', () => {
    const offsets = measure(outHeaderFields.map((field) => `fuse_out_header.${field}`));
    const reply = new Reply(64);
    expect(reply.header({ unique: 77, isResent: false }, -5, 8)).toBe(24);
    const view = new DataView(reply.bytes.buffer);
    const fields = outHeaderFields.map((field) =>
      view.getInt32(offsets.get(`fuse_out_header.${field}`)!, true),
    );
    expect(fields).toEqual([24, -5, 77]);
  });
});
