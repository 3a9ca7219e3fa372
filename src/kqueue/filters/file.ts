import {
  EVFILT_EXCEPT,
  EVFILT_OPEN,
  EVFILT_READ,
  EVFILT_VNODE,
  EVFILT_WRITE,
  NOTE_ATTRIB,
  NOTE_DELETE,
  NOTE_EXTEND,
  NOTE_LINK,
  NOTE_RENAME,
  NOTE_REVOKE,
  NOTE_WRITE,
} from '../../kern/klist.ts';
import type { Knote } from '../knote.ts';
import { formatBits, formatHex } from '../numbers.ts';
import { type Filter, NO_NOTES } from './filter.ts';

/** Filters whose idents are files: each kind of file has knotes of its own for them (fo_kqfilter). */
function fileFilter(number: number, name: string): Filter {
  return {
    number,
    name,
    identKind: 'file',
    notes: NO_NOTES,
    formatFflags: formatHex,
    keepsValues: false,
    hasPrivateValues: false,
    attach: (knote: Knote) => knote.file.ops.kqfilter(knote.file, knote),
  };
}

const vnodeNotes = new Map<string, number>([
  ['attrib', NOTE_ATTRIB],
  ['delete', NOTE_DELETE],
  ['extend', NOTE_EXTEND],
  ['link', NOTE_LINK],
  ['rename', NOTE_RENAME],
  ['revoke', NOTE_REVOKE],
  ['write', NOTE_WRITE],
]);

export const readFilter = fileFilter(EVFILT_READ, 'read');
export const writeFilter = fileFilter(EVFILT_WRITE, 'write');
export const exceptFilter = fileFilter(EVFILT_EXCEPT, 'except');
/** Readers in the lower half, writers in the upper. */
const WRITERS = 2 ** 32;

export const openFilter: Filter = {
  ...fileFilter(EVFILT_OPEN, 'open'),
  formatData({ data }) {
    const waiting = Number(data);
    return `${waiting % WRITERS},${Math.floor(waiting / WRITERS)}`;
  },
};
export const vnodeFilter: Filter = {
  ...fileFilter(EVFILT_VNODE, 'vnode'),
  notes: vnodeNotes,
  // A registration that watches nothing could never fire.
  notesByDefault: [...vnodeNotes.values()].reduce((all, note) => all | note, 0),
  formatFflags: (fflags) => formatBits(fflags, vnodeNotes, '0'),
  keepsValues: true,
};
