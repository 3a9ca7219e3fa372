import { EINVAL, EOPNOTSUPP } from '../../kern/errno.ts';
import { EVFILT_READ } from '../../kern/klist.ts';
import type { Knote, QueueFilterOps } from '../knote.ts';
import type { Kqueue } from '../kqueue.ts';

/** EVFILT_READ on a kqueue (filt_kqueue; K6): its pending count. */
const kqueueFilter: QueueFilterOps = {
  detach(listed) {
    const knote = listed as Knote;
    (knote.hook as Kqueue).klist.remove(knote);
    knote.kqueue.watchedQueueCount--;
  },
  event(knote) {
    knote.data = (knote.hook as Kqueue).count;
    return knote.data > 0;
  },
};

/**
 * Has the knote's kqueue watch another (kqueue_kqfilter; K6). -EOPNOTSUPP for other filters, -EINVAL when the other one watches
 * this one already, directly or through others, or is the same: neither would ever be quiet again (K120, KB15).
 */
export function attachKqueue(watched: Kqueue, knote: Knote): number {
  if (knote.filter !== EVFILT_READ) return -EOPNOTSUPP;
  if (isWatchedBy(knote.kqueue, watched)) return -EINVAL;
  knote.filterOps = kqueueFilter;
  knote.hook = watched;
  watched.klist.add(knote);
  knote.kqueue.watchedQueueCount++;
  return 0;
}

/** Whether `watcher` is `kqueue`, or watches it through any number of others. */
function isWatchedBy(kqueue: Kqueue, watcher: Kqueue): boolean {
  const seen = new Set([kqueue]);
  for (const at of seen) {
    if (at === watcher) return true;
    at.klist.forEach((knote) => seen.add((knote as Knote).kqueue));
  }
  return false;
}
