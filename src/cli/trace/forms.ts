import { textContent } from '../../tree/trace/content.ts';
import { textLine, TRACE_COLUMNS } from '../../tree/trace/line.ts';
import type { StuckCall } from './picture/picture.ts';
import { recordOf, type TraceFields } from './trace-lines.ts';

/** How the command writes what it has selected. Texts have one character a byte. */
export interface TraceOutputForm {
  /** Before the first line. */
  readonly header: string;
  /** `line` is what the mount has sent, without its newline. */
  format(fields: TraceFields, line: string): string;
  /** A form that is whole only with an end. */
  readonly picture?: TracePicture;
}

/** What pictures have beside lines. */
export interface TracePicture {
  /** What makes the output whole when nothing follows any more. */
  readonly footer: string;
  /** When the call began to wait that has waited the longest, in seconds since 1970; Infinity for none. */
  readonly oldestWaitSeconds: number;
  /** Calls were seen that can never end; `text` says so. */
  formatDeadlock(seconds: number, text: string, calls: readonly StuckCall[]): string;
}

/** As info/trace. */
export const textForm: TraceOutputForm = {
  header: `${TRACE_COLUMNS}\n`,
  format(fields) {
    const record = recordOf(fields);
    const { begin, end, without } = textContent;
    const line = textLine(record);
    return record.content === null ? line + without : line + begin + textContent.encode(record.content) + end;
  },
};

/** As info/trace.json. */
export const jsonForm: TraceOutputForm = { header: '', format: (_fields, line) => `${line}\n` };
