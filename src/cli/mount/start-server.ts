import { type ChildProcess, spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { READY, READY_DESCRIPTOR, SERVER_VARIABLE, type ServerInput } from './server-input.ts';

/** The program, to start it again. */
export const MAIN = fileURLToPath(new URL('../main.js', import.meta.url));

/** In characters. */
const MOST_COMPLAINT = 16_384;

/** A server in a process of its own, whose mount answers. */
export interface StartedServer {
  readonly child: ChildProcess;
  /** Both sides have it open: a server that is tied to its starter ends when this closes. */
  readonly link: Socket;
  /** The end of what it has said on standard error. */
  readonly complaint: () => string;
  /** What a person should know of the mount; empty when there is nothing to say. */
  readonly remark: string;
}

/** What a server said on standard error that could not mount; empty when it ended without a word. */
export interface FailedServer {
  readonly failure: string;
}

export function hasFailed(server: StartedServer | FailedServer): server is FailedServer {
  return 'failure' in server;
}

/** The last line of what the server said, as the message of a failure. */
export function reasonOf(complaint: string): string {
  const line = complaint.trim().split('\n').at(-1)!;
  return line === '' ? 'the server ended without a word' : line.replace(/^ipcfs: /, '');
}

/** How the server's program is started. */
export interface ServerProgram {
  /** A command that replaces itself by the program whose words follow it. */
  readonly wrapper?: readonly string[];
  /** Options of Node's; those of this process by default. */
  readonly nodeOptions?: readonly string[];
  readonly environment?: NodeJS.ProcessEnv;
}

/** Starts a server in a session of its own, and resolves once its mount answers or cannot be made. `args`: for those who list processes. */
export function startServer(
  input: ServerInput,
  args: readonly string[],
  { wrapper = [], nodeOptions = process.execArgv, environment = process.env }: ServerProgram = {},
): Promise<StartedServer | FailedServer> {
  const command = [...wrapper, process.execPath, ...nodeOptions, MAIN, ...args] as [string, ...string[]];
  const child = spawn(command[0], command.slice(1), {
    detached: true,
    // What the server logs is seen with DEBUG only; otherwise it must not hold on to this terminal.
    stdio: ['ignore', 'ignore', environment['DEBUG'] === undefined ? 'pipe' : 'inherit', 'pipe'],
    env: { ...environment, [SERVER_VARIABLE]: JSON.stringify(input) },
  });
  const link = child.stdio[READY_DESCRIPTOR] as Socket;
  let said = '';
  let complaint = '';
  child.stderr?.on(
    'data',
    (chunk: Buffer) => (complaint = (complaint + chunk.toString()).slice(-MOST_COMPLAINT)),
  );
  return new Promise((resolve, reject) => {
    link.on('data', (chunk: Buffer) => {
      said += chunk.toString();
      if (said.startsWith(READY) && said.endsWith('\n'))
        resolve({ child, link, complaint: () => complaint, remark: said.slice(READY.length).trim() });
    });
    child.on('error', reject);
    child.on('close', () => {
      resolve({ failure: complaint });
    });
  });
}
