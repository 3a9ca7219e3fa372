/**
 * Reads a byte from one pipe and writes it to another, until the end of the first. Writes "ready" before it begins.
 *
 *   echo.js FROM TO
 */
import { openSync, readSync, writeSync } from 'node:fs';

const [from, to] = process.argv.slice(2);
process.stdout.write('ready\n');
const input = openSync(from!, 'r');
const output = openSync(to!, 'w');
const byte = Buffer.alloc(1);
while (readSync(input, byte) === 1) writeSync(output, byte);
