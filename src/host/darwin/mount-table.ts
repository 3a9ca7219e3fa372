import { execFileSync } from 'node:child_process';
import type { MountEntry } from '../linux/mounts/mount-table.ts';

const TIMEOUT_MS = 5000;

/** The lines of mount(8): `SOURCE on DIRECTORY (TYPE, OPTION, ...)`. It has no numbers. */
export function parseDarwinMounts(text: string): MountEntry[] {
  const entries: MountEntry[] = [];
  for (const line of text.split('\n')) {
    // The directory may hold blanks and even ` on `: sources are devices, URLs or names without.
    const fields = /^(.*?) on (\/.*) \(([^,)]+)[^()]*\)$/.exec(line);
    if (fields === null) continue;
    const [, source, directory, type] = fields as unknown as [string, string, string, string];
    entries.push({ id: -1, directory, type, source, deviceMinor: -1, superOptions: [] });
  }
  return entries;
}

/** Every mount, as mount(8) lists them: it asks the kernel, and not the mounts. */
export function darwinMountTable(
  list = () => execFileSync('/sbin/mount', { encoding: 'utf8', timeout: TIMEOUT_MS }),
): MountEntry[] {
  return parseDarwinMounts(list());
}
