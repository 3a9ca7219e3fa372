import { readText } from '../bounded-read.ts';

export const CAP_SYS_PTRACE = 19;
export const CAP_SYS_ADMIN = 21;

/** Whether this process has the capability, in one of the sets of /proc/self/status: CapEff now, CapBnd after a set-user-id exec. */
export function hasCapability(set: 'CapEff' | 'CapBnd', capability: number): boolean {
  const digits = new RegExp(`^${set}:\\s*([0-9a-f]+)$`, 'm').exec(readText('/proc/self/status') ?? '')?.[1];
  // A system that does not say has no such restriction.
  return digits === undefined || ((BigInt(`0x${digits}`) >> BigInt(capability)) & 1n) === 1n;
}

/** Whether set-user-id programs keep the user of this process (no_new_privs). */
export function cannotGainPrivileges(): boolean {
  return /^NoNewPrivs:\s*1$/m.test(readText('/proc/self/status') ?? '');
}
