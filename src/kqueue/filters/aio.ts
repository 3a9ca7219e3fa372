import { ENXIO } from '../../kern/errno.ts';
import { EVFILT_AIO } from '../../kern/klist.ts';
import { formatHex } from '../numbers.ts';
import { type Filter, NO_NOTES } from './filter.ts';

/** EVFILT_AIO: DragonFly has the number, and no such events (K112). */
export const aioFilter: Filter = {
  number: EVFILT_AIO,
  name: 'aio',
  identKind: 'number',
  notes: NO_NOTES,
  formatFflags: formatHex,
  keepsValues: false,
  hasPrivateValues: false,
  attach: () => -ENXIO,
};
