/**
 * Opens files for reading and reads from all of them at once, each in a thread of its own; ends when its standard input does.
 * UV_THREADPOOL_SIZE bounds how many can wait.
 *
 *   block.js FILE...
 */
import { constants, openSync, read } from 'node:fs';

for (const path of process.argv.slice(2)) {
  // Read and write: the open waits for nobody.
  const descriptor = openSync(path, constants.O_RDWR);
  read(descriptor, Buffer.alloc(1), () => undefined);
}
process.stdout.write('ready\n');
process.stdin.resume();
process.stdin.on('end', () => {
  process.kill(process.pid, 'SIGKILL');
});
