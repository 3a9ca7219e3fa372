/**
 * Opens a file many times, and ends, with all of them open, when its standard input does.
 *
 *   open.js FILE COUNT
 */
import { constants, openSync } from 'node:fs';

const [file, count] = process.argv.slice(2);
for (let opened = 0; opened < Number(count); opened++) openSync(file!, constants.O_RDWR);
process.stdout.write('ready\n');
process.stdin.resume();
process.stdin.on('end', () => {
  process.kill(process.pid, 'SIGKILL');
});
