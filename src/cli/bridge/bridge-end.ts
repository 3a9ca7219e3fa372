import { isIpcfsMount, mountAround } from '../../host/mounts.ts';
import { CommandFailure, UsageFailure } from '../failures.ts';
import { resolveWithoutTouching } from '../mount/mount-options.ts';
import { explain, type MountPoint } from '../tables/mount-calls.ts';
import type { Role } from './bridge-options.ts';
import { EventSink, EventSource } from './events.ts';
import { type Framing, framingOf } from './pipe-options.ts';
import { PipeSink } from './pipe-sink.ts';
import { PipeSource } from './pipe-source.ts';
import type { RecordSink, RecordSource } from './records.ts';

/** What a bridge reads or fills: one of the two. */
export type BridgeEnd =
  | { readonly source: RecordSource; readonly sink: null }
  | { readonly source: null; readonly sink: RecordSink };

/** Finds the object that `place` names and checks it: `DIR/pipes/NAME` or `DIR/kqueues/NAME user N`. */
export async function bridgeEnd(place: string, role: Role, isOut: boolean): Promise<BridgeEnd> {
  const event = /^(.+) user ([0-9]+)$/.exec(place);
  const file = event?.[1] ?? place;
  const path = resolveWithoutTouching(file);
  const entry = mountAround(path);
  if (!isIpcfsMount(entry)) throw new CommandFailure(`${file} lies in no ipcfs mount: name DIR/pipes/NAME`);
  const mount: MountPoint = { path: entry!.directory, directory: entry!.directory };
  const name = path.slice(mount.path.length + 1);
  try {
    if (event !== null) {
      if (!name.startsWith('kqueues/')) throw new UsageFailure(`${file} is no kqueue: name DIR/kqueues/NAME`);
      const ident = Number(event[2]);
      return isOut
        ? { source: await EventSource.open(mount, name, ident), sink: null }
        : { source: null, sink: await EventSink.open(mount, name, ident) };
    }
    if (!name.startsWith('pipes/')) throw new UsageFailure(`${file} is no pipe: name DIR/pipes/NAME`);
    const check = (): Promise<Framing> => framingOf(file, role, isOut);
    const framing = await check();
    return isOut
      ? { source: new PipeSource(path, framing, check), sink: null }
      : { source: null, sink: new PipeSink(path, framing) };
  } catch (error) {
    throw explain(error, mount, name);
  }
}
