import type { Transport } from '../../vfs/transport.ts';
import type { Session } from './session/session.ts';

/**
 * The raw transport as its file system sees it. The file system is made before the session that serves it, so `session` is asked
 * for at each use.
 */
export function rawTransport(
  session: () => Session,
  { findMappers, findSleepers, findHandle }: Pick<Transport, 'findMappers' | 'findSleepers' | 'findHandle'>,
): Transport {
  return {
    facts: () => session().facts(),
    counters: () => session().counters(),
    blockedCalls: () => session().blockedCalls(),
    tracedCall: (thread) => session().callTrace.of(thread),
    settleDetaches: () => session().backings.settleDetaches(),
    findMappers,
    findSleepers,
    findHandle,
  };
}
