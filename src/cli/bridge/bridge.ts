import { setTimeout as delay } from 'node:timers/promises';
import { exitNow } from '../../host/linux/libc.ts';
import { report } from '../failures.ts';
import { bridgeEnd } from './bridge-end.ts';
import { type BridgeCommandOptions, isOutbound, parseTarget, streamNameOf } from './bridge-options.ts';
import { connectionOptions, loadClient } from './client.ts';
import { Counters, keepWritten } from './counters.ts';
import { LogInbound } from './log-inbound.ts';
import { Outbound } from './outbound.ts';
import { keepConnected, type SessionUser } from './sessions.ts';
import { printStatus } from './status.ts';
import type { StreamSettings } from './streams.ts';
import { WorkInbound } from './work-inbound.ts';

const OUT_WINDOW = 64;
const IN_WINDOW = 32;
/** How long a bridge that is to end waits for acknowledgements and readers. */
const STOP_TIMEOUT_MS = 5000;
/** The shared name of the workers. */
const WORKERS = 'workers';

/** One direction of a bridge. */
interface Direction extends SessionUser {
  /** Works until it fails. */
  run(): Promise<void>;
  /** Begins nothing new; resolves when nothing is unfinished. */
  stop(): Promise<void>;
  /** Whether the process has records that a pipe takes back only when a signal ends it. */
  readonly mustEndBySignal: boolean;
}

/** `ipcfs bridge`: runs until SIGINT or SIGTERM. Threads may be in calls on the mount: the process ends without them. */
export async function bridgeCommand(
  place: string,
  url: string,
  options: BridgeCommandOptions,
): Promise<void> {
  let direction: Direction | null = null;
  try {
    const target = parseTarget(url);
    const settings: StreamSettings = {
      role: options.role,
      subject: target.subject,
      name: options.stream ?? streamNameOf(target.subject),
      maxBytes: options.maxBytes ?? 0,
    };
    const client = await loadClient();
    const connection = connectionOptions(client, target, options);
    if (options.status === true) {
      await printStatus(client, connection, settings);
      exitNow(0);
    }
    const isOut = isOutbound(options);
    const { source, sink } = await bridgeEnd(place, options.role, isOut);
    const counters = new Counters();
    const window = options.window ?? (isOut ? OUT_WINDOW : IN_WINDOW);
    if (source !== null) {
      direction = new Outbound(client, source, settings, window, counters);
    } else if (options.role === 'work') {
      const work = { ...settings, consumer: options.durable ?? WORKERS, ackWaitMs: options.ackWait };
      direction = new WorkInbound(client, sink, work, window, counters);
    } else {
      const from = options.from ?? (options.role === 'log' ? 'all' : 'new');
      const log = { ...settings, durable: options.durable ?? null, from };
      direction = new LogInbound(client, sink, log, window, counters);
    }
    if (options.metrics !== undefined) {
      await keepWritten(options.metrics, labelsOf(place, settings, isOut), counters);
    }
    const ending = untilSignal();
    await Promise.race([keepConnected(client, connection, direction, counters), direction.run(), ending]);
    await Promise.race([direction.stop(), delay(STOP_TIMEOUT_MS)]);
    end(0, direction);
  } catch (error) {
    end(report(error), direction);
  }
}

function labelsOf(place: string, { subject, role }: StreamSettings, isOut: boolean): string {
  const quote = (text: string): string =>
    `"${text.replace(/[\\"\n]/g, (found) => (found === '\n' ? '\\n' : `\\${found}`))}"`;
  return `pipe=${quote(place)},subject=${quote(subject)},role="${role}",direction="${isOut ? 'out' : 'in'}"`;
}

function untilSignal(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.once(signal, () => {
        resolve();
      });
    }
  });
}

/** Ends the process, by SIGTERM where a record may be left in it. */
function end(status: number, direction: Direction | null): never {
  if (direction?.mustEndBySignal === true) {
    process.removeAllListeners('SIGTERM');
    process.kill(process.pid, 'SIGTERM');
  }
  return exitNow(status);
}
