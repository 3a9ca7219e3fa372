import { trySysctls } from '../cli/mount/sysctl-settings.ts';
import { MountFailure, type WantedTransport } from '../transports/common/transport.ts';
import { DEFAULT_MODULE } from '../transports/fuse-native/binding.ts';
import { TestServer } from './server.ts';
import { TestMount } from './test-mount.ts';
import { TestTrace } from './trace.ts';

const DEFAULT_SPIN_MS = 0.05;

export interface TestMountOptions {
  /** Tunables by name, also those that are fixed afterwards. */
  readonly sysctls?: Readonly<Record<string, number>>;
  /** Whether to record calls; true unless given. */
  readonly trace?: boolean;
  /** Bytes of each read and write that the trace keeps; 0 unless given. */
  readonly contentBytes?: number;
  /** What carries requests; `auto` unless given. */
  readonly transport?: WantedTransport;
  /** The package that binds libfuse, for the transport `fuse-native`. */
  readonly fuseModule?: string;
  /** Stops the mount when it is aborted: the signal of a test, so that its time-out unmounts too. */
  readonly signal?: AbortSignal;
}

/**
 * Mounts on a new directory, served by a process of its own, which ends with this process at the latest, however that ends. A test that
 * does not stop the mount does not keep the process alive. Throws a MountFailure that says what to do.
 */
export async function startMount({
  sysctls = {},
  trace = true,
  contentBytes = 0,
  transport = 'auto',
  fuseModule = DEFAULT_MODULE,
  signal,
}: TestMountOptions = {}): Promise<TestMount> {
  signal?.throwIfAborted();
  const { possible, refusal } = trySysctls(Object.entries(sysctls));
  if (refusal !== null) throw new MountFailure(refusal.reason);
  const server = await TestServer.start({
    options: {
      transport,
      fuseModule,
      spin: DEFAULT_SPIN_MS,
      shmBacking: 'auto',
      ioUring: 'off',
      sysctl: [],
      foreground: false,
      allowOther: false,
      noexec: false,
    },
    settings: possible,
  });
  let mount: TestMount;
  try {
    mount = new TestMount(server, trace ? await TestTrace.open(server.directory, contentBytes) : null);
  } catch (error) {
    await server.stop();
    throw error;
  }
  if (signal?.aborted === true) {
    await mount.stop();
    signal.throwIfAborted();
  }
  signal?.addEventListener('abort', () => void mount.stop().catch(() => undefined), { once: true });
  return mount;
}

/** Mounts, calls `use`, and unmounts, whatever `use` does: what it returns or throws. */
export async function withMount<Result>(
  use: (mount: TestMount) => Result | Promise<Result>,
  options?: TestMountOptions,
): Promise<Result> {
  const mount = await startMount(options);
  let result: Result;
  try {
    result = await use(mount);
  } catch (error) {
    // The test's own failure says more than what may follow from it.
    await mount.stop().catch(() => undefined);
    throw error;
  }
  await mount.stop();
  return result;
}
