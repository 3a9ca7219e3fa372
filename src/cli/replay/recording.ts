import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { CommandFailure } from '../failures.ts';
import { objectExpression } from '../trace/selection.ts';
import { targetOfRead } from '../trace/stream-target.ts';
import { contentOf, parseTraceLine, type TraceFields } from '../trace/trace-lines.ts';

/** The bytes of one call. */
export interface Chunk {
  /** When they were written or read, in seconds since 1970. */
  readonly time: number;
  /** Where they lie in the stream; null when that is not known. */
  readonly offset: number | null;
  readonly bytes: Buffer;
}

export interface Recording {
  /** By pipe, one character a byte: the chunks in the order of the stream. */
  readonly pipes: ReadonlyMap<string, readonly Chunk[]>;
  /** Lines that the trace has lost. */
  readonly lostLines: number;
}

export interface RecordingOptions {
  readonly object?: string;
  readonly from: 'writes' | 'reads';
}

/** Reads a trace. Fails when it has no bytes, or not all bytes of a call. */
export async function readRecording(file: string, { object, from }: RecordingOptions): Promise<Recording> {
  const pipes = new Map<string, Chunk[]>();
  const expression = object === undefined ? /^(?:pipes|pairs)\// : objectExpression(object);
  const call = from === 'reads' ? 'read' : 'write';
  let lostLines = 0;
  let lineNumber = 0;
  let unreadable = 0;
  try {
    for await (const line of createInterface({
      input: createReadStream(file, 'latin1'),
      crlfDelay: Infinity,
    })) {
      lineNumber++;
      if (line === '') continue;
      // Only the last line of a trace that was cut off may be in part.
      if (unreadable > 0) throw notATrace(file, unreadable);
      const fields = parseTraceLine(line);
      if (fields === null) {
        unreadable = lineNumber;
        continue;
      }
      if (fields.type === 'lost') lostLines += fields.lines ?? 0;
      if (fields.type !== 'end' || fields.call !== call || (fields.result ?? 0) <= 0) continue;
      const { object: path = '' } = fields;
      // Segments have bytes too, but no stream of them.
      if (!/^(?:pipes|pairs)\//.test(path) || !expression.test(path)) continue;
      const target = from === 'reads' ? targetOfRead(path) : path;
      const chunks = pipes.get(target);
      const chunk = chunkOf(fields, file, lineNumber, from);
      if (chunks === undefined) pipes.set(target, [chunk]);
      else chunks.push(chunk);
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (error instanceof CommandFailure || code === undefined) throw error;
    throw new CommandFailure(
      `${file} cannot be read (${code}): name a file of 'ipcfs trace --json --content'`,
    );
  }
  if (unreadable > 0 && lineNumber === 1) throw notATrace(file, 1);
  for (const chunks of pipes.values()) chunks.sort(byPlace);
  return { pipes, lostLines };
}

function notATrace(file: string, line: number): CommandFailure {
  return new CommandFailure(
    `${file}:${line} is no line of a trace: name a file of 'ipcfs trace --json --content'`,
  );
}

function chunkOf(fields: TraceFields, file: string, line: number, from: 'writes' | 'reads'): Chunk {
  const { time, duration = 0, offset = null, result, content } = fields;
  const bytes = content === undefined ? null : contentOf(content);
  if (bytes === null || bytes.length !== result) {
    throw new CommandFailure(
      `${file}:${line} has ${bytes?.length ?? 'none'} of the ${result} bytes: record with --content, as the owner of the pipe or root`,
    );
  }
  // A read has its bytes when it ends; a write when it begins.
  return { time: from === 'reads' ? time + duration : time, offset, bytes };
}

/** In the order of the stream, as far as it is known: a write that waits ends after those that come behind it. */
function byPlace(a: Chunk, b: Chunk): number {
  return a.offset === null || b.offset === null ? a.time - b.time : a.offset - b.offset || a.time - b.time;
}

/** Places at which bytes are missing that the trace does not have. */
export function gapCount(chunks: readonly Chunk[]): number {
  let gaps = 0;
  for (const [index, { offset }] of chunks.entries()) {
    const before = chunks[index - 1];
    if (before === undefined || offset === null || before.offset === null) continue;
    if (offset > before.offset + before.bytes.length) gaps++;
  }
  return gaps;
}
