import type { Platform } from './platform.ts';

/** The platform that this program runs on; only its own code is loaded. */
export async function loadPlatform(name: NodeJS.Platform = process.platform): Promise<Platform> {
  if (name === 'darwin') return (await import('./darwin/darwin-platform.ts')).createDarwinPlatform();
  return (await import('./linux/linux-platform.ts')).createLinuxPlatform();
}
