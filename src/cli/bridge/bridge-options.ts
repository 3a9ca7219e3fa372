import { UsageFailure } from '../failures.ts';

/** Who gets a record: one worker of all machines, every machine, or everybody who reads the log from some position on. */
export const ROLES = ['work', 'broadcast', 'log'] as const;
export type Role = (typeof ROLES)[number];

/** The options of `ipcfs bridge` as they are given. */
export interface BridgeCommandOptions {
  readonly role: Role;
  readonly in?: boolean;
  readonly out?: boolean;
  /** The shared name of the workers, or the name under which the position in the log is kept. */
  readonly durable?: string;
  /** Where a reader begins that has no position yet. */
  readonly from?: StartPosition;
  /** Records under way at most; without it what suits the direction. */
  readonly window?: number;
  /** How long a record may be with a bridge that says nothing of it, in milliseconds. */
  readonly ackWait: number;
  /** Name of the stream; without it made from the subject. */
  readonly stream?: string;
  /** Size in bytes of a stream that the bridge creates; without it no limit. */
  readonly maxBytes?: number;
  readonly creds?: string;
  /** A JSON file with options of the NATS client. */
  readonly connection?: string;
  readonly metrics?: string;
  readonly status?: boolean;
}

/** The first record, the next one that is written, or the one with this sequence in the stream. */
export type StartPosition = 'all' | 'new' | number;

/** The servers and the subject of a URL. */
export interface Target {
  readonly servers: readonly string[];
  readonly subject: string;
  /** Whether the connection must be encrypted. */
  readonly isEncrypted: boolean;
  readonly user?: string;
  readonly pass?: string;
  readonly token?: string;
}

const FORM = 'write it as nats://HOST:PORT/SUBJECT';

/** Reads `nats://[USER:PASS@|TOKEN@]HOST[:PORT][,HOST...]/SUBJECT`; tls:// for TLS. Throws a UsageFailure. */
export function parseTarget(text: string): Target {
  const match = /^(nats|tls):\/\/(?:([^@/]*)@)?([^/]+)\/(.+)$/.exec(text);
  if (match === null) throw new UsageFailure(`'${text.replace(/\/\/.*@/, '//')}' is no address: ${FORM}`);
  const [, scheme, identity, hosts, subject] = match as unknown as [
    string,
    string,
    string | undefined,
    string,
    string,
  ];
  if (!/^[^\s.*>]+(\.[^\s.*>]+)*$/.test(subject)) {
    throw new UsageFailure(`'${subject}' is no subject: words without blanks, * and >, joined by dots`);
  }
  const target = { servers: hosts.split(','), subject, isEncrypted: scheme === 'tls' };
  if (identity === undefined) return target;
  const [user, pass] = identity.split(':').map(decodeURIComponent) as [string, string?];
  return pass === undefined ? { ...target, token: user } : { ...target, user, pass };
}

/** The name of the stream for a subject: names have no dots. */
export function streamNameOf(subject: string): string {
  return subject.replace(/[^A-Za-z0-9_-]/g, '_');
}

/** Checks what the parser cannot: true for out, false for in. */
export function isOutbound({ in: isIn, out, role, durable, from }: BridgeCommandOptions): boolean {
  if (isIn === out) {
    throw new UsageFailure(
      'a bridge has one direction: --out sends the records of the pipe, --in fills the pipe with messages',
    );
  }
  if (out === true && (durable !== undefined || from !== undefined)) {
    throw new UsageFailure('--durable and --from are about reading the stream: give them with --in');
  }
  if (role === 'work' && from !== undefined) {
    throw new UsageFailure('work begins with the oldest record that nobody has: leave out --from');
  }
  return out === true;
}
