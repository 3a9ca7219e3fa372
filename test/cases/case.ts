import type { CapabilityName } from '../../src/transports/common/capabilities.ts';
import type { TestMount } from '../support/mount.ts';

/** One behaviour that a user can see, whatever the transport. It leaves nothing behind in the mount. */
export interface Case {
  /** A sentence: what holds. */
  readonly name: string;
  /** Capabilities without which it does not hold. */
  readonly needs?: readonly CapabilityName[];
  /** Shows that it holds. */
  readonly run: Check;
  /** Shows what holds instead where one of `needs` is missing, as CAPABILITY_LOSSES has it. */
  readonly without?: Check;
}

/** `startOwn`: another mount by the same transport, for what would hold up others; the check stops it. */
export type Check = string | ((mount: TestMount, startOwn: () => Promise<TestMount>) => Promise<void>);

/** A case as a shell script in the mount's root: its last line of output must be `ok`. */
export async function perform(
  check: Check,
  mount: TestMount,
  startOwn: () => Promise<TestMount>,
): Promise<void> {
  if (typeof check !== 'string') {
    await check(mount, startOwn);
    return;
  }
  const output = await mount.output(`set -e\n${check}`, { timeoutMs: 20_000 });
  const last = output.trimEnd().split('\n').at(-1);
  if (last !== 'ok') throw new Error(`'${check}' printed ${JSON.stringify(output)}`);
}
