import * as libc from '../../host/linux/libc.ts';
import { loadPlatform } from '../../host/load-platform.ts';
import {
  type Capabilities,
  CAPABILITY_LOSSES,
  CAPABILITY_NAMES,
  kebab,
} from '../../transports/common/capabilities.ts';
import { loadModule } from '../../transports/fuse-native/binding.ts';
import { EXIT_FAILURE } from '../failures.ts';
import { printableLine } from '../printable.ts';
import { deviceFinding } from './device.ts';
import { featureFindings } from './features.ts';
import type { Finding } from './finding.ts';
import { rightFindings, USER_NAMESPACE } from './rights.ts';
import { trialFinding } from './trial.ts';

export interface DoctorOptions {
  readonly fuseModule: string;
  /** Whether to list what callers lose with that package. */
  readonly listsLosses: boolean;
}

/** `ipcfs doctor`: prints the verdict, then what it has found; the exit status is 0 when a mount can be made. */
export async function doctor({ fuseModule, listsLosses }: DoctorOptions): Promise<number> {
  const isLinux = process.platform === 'linux';
  const linux = isLinux ? [deviceFinding(), ...rightFindings(), ...libraryFindings()] : [];
  const findings = [platform(), ...linux, ...(await binding(fuseModule, listsLosses))];
  // With something missing it would fail for that reason.
  if (isLinux && findings.every(isEnough)) findings.push(await trialFinding(fuseModule));
  process.stdout.write(`${printableLine(verdict(findings))}\n\n`);
  for (const { what, isFine, isNeeded, detail } of findings) {
    const word = isFine ? 'ok     ' : isNeeded ? 'MISSING' : 'no     ';
    process.stdout.write(`${word} ${what.padEnd(22)} ${printableLine(detail)}\n`);
  }
  return findings.every(isEnough) ? 0 : EXIT_FAILURE;
}

function isEnough({ isFine, isNeeded }: Finding): boolean {
  return isFine || !isNeeded;
}

/** Whether a mount is possible, and the first thing to do. */
function verdict(findings: readonly Finding[]): string {
  const missing = findings.filter((finding) => !isEnough(finding));
  const [first] = missing;
  if (first === undefined) return "You can mount: 'ipcfs mount DIR'.";
  const hasNamespaces = findings.some(({ what, isFine }) => what === USER_NAMESPACE && isFine);
  const isOnlyRight = missing.every(({ what }) => what === 'right to mount');
  if (hasNamespaces && isOnlyRight) {
    return `You cannot mount for other processes, but 'ipcfs run -- COMMAND' works here. To mount: ${first.detail}.`;
  }
  return `You cannot mount: ${first.detail}.`;
}

/** What takes calls of the C library: the first transport, and what it can do. */
function libraryFindings(): Finding[] {
  if (libc.libraryFailure === null) return featureFindings();
  return [{ what: 'transport raw', isFine: false, isNeeded: false, detail: libc.libraryFailure.message }];
}

/** The package for the second transport, which is needed only where there is no other. */
async function binding(fuseModule: string, listsLosses: boolean): Promise<Finding[]> {
  const { capabilitiesOn, dialectOf, LEGACY } = await import('../../transports/fuse-native/dialect.ts');
  const found = (isFine: boolean, detail: string): Finding => ({
    what: 'transport fuse-native',
    isFine,
    isNeeded: process.platform !== 'linux' || libc.libraryFailure !== null,
    detail,
  });
  const lossesOf = (capabilities: Capabilities): Finding[] => (listsLosses ? losses(capabilities) : []);
  try {
    const dialect = dialectOf(loadModule(fuseModule), fuseModule);
    const capabilities = capabilitiesOn(await loadPlatform(), dialect);
    const hint = listsLosses ? '' : `; --fuse-module ${fuseModule} lists what it cannot do`;
    return [
      found(true, `the package ${fuseModule} and its library are installed${hint}`),
      ...lossesOf(capabilities),
    ];
  } catch (error) {
    return [found(false, (error as Error).message), ...lossesOf(LEGACY.capabilities)];
  }
}

/** What callers lose with the second transport: the first can do all of it. */
function losses(capabilities: Capabilities): Finding[] {
  return CAPABILITY_NAMES.filter((name) => !capabilities[name]).map((name) => ({
    what: `fuse-native ${kebab(name)}`,
    isFine: false,
    isNeeded: false,
    detail: CAPABILITY_LOSSES[name],
  }));
}

function platform(): Finding {
  const isKnown = ['linux', 'darwin'].includes(process.platform);
  return {
    what: 'system',
    isFine: isKnown,
    isNeeded: true,
    detail: isKnown
      ? `${process.platform === 'linux' ? 'Linux' : 'macOS'}, Node ${process.version}`
      : `ipcfs mounts on Linux and macOS, not on ${process.platform}`,
  };
}
