import type { TraceFields } from '../../src/cli/trace/trace-lines.ts';
import { Opcode } from '../../src/transports/raw/protocol/constants.ts';
import {
  LINUX_O_NONBLOCK,
  LINUX_O_RDWR,
  openBody,
  readBody,
  releaseBody,
  walk,
  writeBody,
} from './fuse-calls.ts';
import { type Caller, type FuseClient, handleOf, textOf } from './fuse-client.ts';
import { bytesOf } from './engine.ts';

const READ_BYTES = 131_072;
export const root: Caller = { uid: 0, gid: 0, pid: 700 };

/** An open of info/trace or info/trace.json in a session that memory drives; its reads do not block. */
export class TraceClient {
  readonly #client: FuseClient;
  readonly #caller: Caller;
  readonly handle: number;

  constructor(client: FuseClient, name = 'trace', caller = root) {
    this.#client = client;
    this.#caller = caller;
    const body = openBody(LINUX_O_RDWR | LINUX_O_NONBLOCK);
    const answer = client.request(Opcode.OPEN, walk(client, `info/${name}`), body, caller);
    if (answer.error < 0) throw new Error(`the open failed with ${answer.error}`);
    this.handle = handleOf(answer);
  }

  /** The error of a request that is written. */
  ask(line: string): number {
    return this.#client.error(
      Opcode.WRITE,
      0,
      writeBody(this.handle, bytesOf(line), LINUX_O_RDWR),
      this.#caller,
    );
  }

  /** What one read gives, once the pace allows it: text, or a negative errno. */
  read(count = READ_BYTES): string | number {
    const { client } = { client: this.#client };
    const body = readBody(this.handle, count, LINUX_O_RDWR | LINUX_O_NONBLOCK);
    const unique = client.send(Opcode.READ, 0, body, this.#caller);
    for (let turn = 0; client.answers(unique).length === 0 && turn < 100; turn++) {
      client.host.clock.advance(1);
      client.fileSystem.kernel.callouts.runExpired();
      client.session.settle();
    }
    const [answer] = client.answers(unique);
    if (answer === undefined) throw new Error('the read is not answered');
    return answer.error < 0 ? answer.error : textOf(answer);
  }

  /** Everything that there is to read. */
  all(count?: number): string {
    for (let text = ''; ;) {
      const part = this.read(count);
      if (typeof part === 'number' || part === '') return text;
      text += part;
    }
  }

  lines(): string[] {
    return this.all().split('\n').slice(0, -1);
  }

  /** The lines of info/trace.json. */
  fields(): TraceFields[] {
    return this.lines().map((line) => JSON.parse(line) as TraceFields);
  }

  close(): void {
    this.#client.request(Opcode.RELEASE, 0, releaseBody(this.handle), this.#caller);
  }
}
