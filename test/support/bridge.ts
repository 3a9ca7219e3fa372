import { mainProgram, type TestMount } from './mount.ts';
import { Running } from './process.ts';

/** A bridge in the background. */
export function startBridge(args: readonly string[], wrapper: readonly string[] = []): Running {
  const [command, ...rest] = [...wrapper, process.execPath, mainProgram, 'bridge', ...args] as [
    string,
    ...string[],
  ];
  return new Running(command, rest, { timeoutMs: 900_000 });
}

/** Makes a pipe that keeps whole lines; its path. */
export async function queue(mount: TestMount, name: string, options = 'hold lines'): Promise<string> {
  const answer = await mount.output(
    `touch pipes/${name} && exec 3<>ctl && echo 'set pipes/${name} ${options}' >&3 && read -r line <&3 && echo "$line"`,
  );
  if (!answer.startsWith('ok')) throw new Error(answer);
  return mount.path(`pipes/${name}`);
}

const worker = `
import os, sys
pipe = os.open(sys.argv[1], os.O_RDONLY)
out = sys.stdout.buffer
while True:
    out.write(os.read(pipe, 1 << 20))
    out.flush()
`;

/** A reader that prints every record that it gets, one read a record. */
export function startReader(path: string): Running {
  return new Running('python3', ['-c', worker, path], { timeoutMs: 900_000 });
}
