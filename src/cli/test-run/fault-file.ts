import { readFile } from 'node:fs/promises';
import { BadRequest } from '../../tree/control/request-file.ts';
import { parseFault } from '../../tree/faults/parse-fault.ts';
import { ControlFile } from '../control/control-file.ts';
import { CommandFailure } from '../failures.ts';
import { explain } from '../tables/mount-calls.ts';
import { readTable } from '../tables/tables.ts';
import { announce, type Run, type RunFeature } from './run-feature.ts';

/** A fault of a file, and where it stands. */
export interface FaultLine {
  /** `FILE:LINE`, for messages. */
  readonly place: string;
  /** What follows `fault add`. */
  readonly words: string;
}

const ADD = ['fault', 'add'];

/**
 * The faults of a file: one a line, as `ctl` takes them, with or without the words `fault add`. A line that begins with `#` is a comment.
 * Throws a CommandFailure for the first line that is no fault.
 */
export function parseFaultFile(file: string, text: string): FaultLine[] {
  return text.split('\n').flatMap((line, index) => {
    const words = line.split(/[ \t\r]+/).filter((word) => word !== '');
    if (words.length === 0 || words[0]!.startsWith('#')) return [];
    const place = `${file}:${index + 1}`;
    const isRequest = words[0] === ADD[0];
    if (isRequest && words[1] !== ADD[1])
      throw new CommandFailure(`${place}: a file can only add faults: write fault add OBJECT CALL ACTION`);
    const fault = isRequest ? words.slice(ADD.length) : words;
    try {
      parseFault(fault);
    } catch (error) {
      if (error instanceof BadRequest) throw new CommandFailure(`${place}: ${error.message}`);
      throw error;
    }
    return [{ place, words: fault.join(' ') }];
  });
}

/** The same of a file by its name. It may be a pipe, which can be read once. */
export async function readFaultFile(file: string): Promise<FaultLine[]> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new CommandFailure(`${file} cannot be read (${code ?? 'unknown error'}): --faults takes a file`);
  }
  return parseFaultFile(file, text);
}

/** `--faults`: adds them before the command begins, and says afterwards which have hit nothing. */
export class FaultFile implements RunFeature {
  readonly #lines: readonly FaultLine[];
  readonly #placeOf = new Map<number, FaultLine>();

  constructor(lines: readonly FaultLine[]) {
    this.#lines = lines;
  }

  async begin({ mount }: Run): Promise<void> {
    try {
      const control = await ControlFile.open(mount.path);
      try {
        await this.#add(control);
      } finally {
        await control.close();
      }
    } catch (error) {
      throw explain(error, mount, 'ctl');
    }
  }

  async #add(control: ControlFile): Promise<void> {
    for (const line of this.#lines) {
      const { isOk, word, text } = await control.ask(`fault add ${line.words}`);
      if (!isOk) throw new CommandFailure(`${line.place}: ${text === '' ? word : text}`);
      this.#placeOf.set(Number(word), line);
    }
  }

  async judge({ mount }: Run): Promise<null> {
    for (const { id, hits } of await readTable(mount, 'faults')) {
      const line = this.#placeOf.get(id);
      if (line !== undefined && hits === 0) announce(`${line.place}: ${line.words} has hit no call`);
    }
    return null;
  }
}
