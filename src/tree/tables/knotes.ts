import type { Credentials } from '../../kern/credentials.ts';
import { filterOf } from '../../kqueue/filters/list.ts';
import type { Knote } from '../../kqueue/knote.ts';
import type { Kqueue } from '../../kqueue/kqueue.ts';
import type { KqueueSubsystem } from '../../kqueue/subsystem.ts';
import { formatIdent, formatUdata } from '../../kqueue/text.ts';
import { filterName, formatFflags, formatFlags } from '../../kqueue/words.ts';
import { type Column, NO_ROW, type Table } from '../../vfs/table.ts';
import type { KqueuesDirectory } from '../kqueues.ts';

/** A registration. */
interface KnoteRow {
  readonly kqueue: Kqueue;
  readonly knote: Knote;
  /** Whether the viewer may see the token, and what a USER knote carries. */
  readonly showsTokens: boolean;
}

/** Tokens, and what USER knotes carry, are bytes that a process hands to itself or to another: others see that there is a knote, and not these. */
function showsValues({ knote, showsTokens }: KnoteRow): boolean {
  return showsTokens || !filterOf(knote.filter)!.hasPrivateValues;
}

export const knotesColumns = [
  { name: 'kqueue', description: 'id of the queue', value: ({ kqueue }) => kqueue.id },
  { name: 'filter', description: 'name of the filter', value: ({ knote }) => filterName(knote.filter) },
  {
    name: 'ident',
    description: 'watched object, as the change named it',
    value: ({ knote }) => formatIdent(knote),
  },
  { name: 'flags', description: 'as an event shows them', value: ({ knote }) => formatFlags(knote.flags) },
  {
    name: 'fflags',
    description: 'watched notes; `-` for a USER knote of another user',
    value: (row) => (showsValues(row) ? formatFflags(row.knote.filter, row.knote.savedFflags) : '-'),
  },
  {
    name: 'data',
    description: 'value that an event would show now; `-` for a USER knote of another user',
    value: (row) => (showsValues(row) ? String(row.knote.data) : '-'),
  },
  {
    name: 'status',
    description: '`waiting`, `pending` or `disabled`',
    value: ({ knote }) => (knote.isDisabled ? 'disabled' : knote.isQueued ? 'pending' : 'waiting'),
  },
  {
    name: 'udata',
    description: 'token; `-` for none, and for tokens of another user',
    value: ({ knote, showsTokens }) => (showsTokens ? formatUdata(knote) : '-'),
  },
] as const satisfies readonly Column<KnoteRow>[];

/** Whether somebody may see the bytes that a queue keeps for those who use it: its owner, as for pipes, and root. */
function maySeeTokens({ uid }: Credentials, directory: KqueuesDirectory, kqueue: Kqueue): boolean {
  return uid === 0 || uid === (directory.nodeOf(kqueue)?.uid ?? kqueue.account.uid);
}

/** info/knotes: every registration. */
export function knotesTable(subsystem: KqueueSubsystem, directory: KqueuesDirectory): Table<KnoteRow> {
  return {
    name: 'knotes',
    columns: knotesColumns,
    *rows(viewer) {
      subsystem.processes.catchUp();
      for (const kqueue of subsystem.kqueues) {
        const showsTokens = maySeeTokens(viewer, directory, kqueue);
        for (const knote of kqueue.knotes()) {
          if (knote.isOrphan) {
            kqueue.drop(knote);
            yield NO_ROW;
            continue;
          }
          filterOf(knote.filter)!.refresh?.(knote);
          yield { kqueue, knote, showsTokens };
        }
      }
    },
  };
}
