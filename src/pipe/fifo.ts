import { type Account, Resource } from '../kern/accounting.ts';
import { assert } from '../kern/assert.ts';
import type { Timestamps } from '../kern/clock.ts';
import type { Credentials } from '../kern/credentials.ts';
import { EBUSY, EINTR, EINVAL, ENOMEM, ENXIO } from '../kern/errno.ts';
import type { File } from '../kern/file.ts';
import { Klist } from '../kern/klist.ts';
import { type Operation, sleep, type WaitChannel, WakeReason } from '../kern/operation.ts';
import type { WriteUio } from '../kern/uio.ts';
import { closeIdle } from './close.ts';
import type { Drops, OptionDiscipline } from './discipline.ts';
import type { PipeEnd, Traffic } from './end.ts';
import { fifoOps, writeNow } from './fifo-ops.ts';
import { PipePair } from './pair.ts';
import { isPlain, NO_OPTIONS, type PipeOptions } from './pipe-options.ts';
import type { PipeSubsystem } from './subsystem.ts';

const readerOpenSleep = { message: 'fifoor', interruptible: true };
const writerOpenSleep = { message: 'fifoow', interruptible: true };

/**
 * A named pipe of the file system: who has it open, and the pair while somebody has (struct fifoinfo; section 4.3 of the
 * specification). The node that owns it outlives the pair.
 */
export class Fifo {
  readonly #subsystem: PipeSubsystem;
  readonly times: Timestamps;
  /** Reader-openers and writer-openers sleep here until their peer opens. */
  readonly #readerOpeners: WaitChannel;
  readonly #writerOpeners: WaitChannel;
  /** Knotes of open files, and those that name the pipe by its path. */
  readonly klist = new Klist();
  /** Knotes that hear who waits to open it. */
  readonly openKlist = new Klist();
  readonly traffic: Traffic = { bytesIn: 0, bytesOut: 0, skewBytes: 0 };
  /** What the pipe has lost by its options since it was made. */
  readonly drops: Drops = { bytes: 0, records: 0 };
  readonly #account: Account | null;
  #options: PipeOptions;
  #pair: PipePair | null = null;
  /** Open files in each direction; the name counts as one more in both while it holds the pipe open. */
  readers = 0;
  writers = 0;
  /** 1 while the name holds the pipe open, which has a pair then. */
  holders = 0;
  /** Writers that sleep until somebody reads: in their open, or in the first write after `openAtOnce`. */
  waitingWriters = 0;
  /** Readers that sleep in their open. */
  waitingReaders = 0;
  /** Opens ever made, to see that the awaited peer came while a sleeper was interrupted (fi_rgen, fi_wgen). */
  #readerOpens = 0;
  #writerOpens = 0;

  /** `times` are the node's own: the pipe's reads and writes stamp them. `account`: whose quota holds the ring of a pipe with options. */
  constructor(
    subsystem: PipeSubsystem,
    times: Timestamps,
    { account = null, options = NO_OPTIONS }: { account?: Account | null; options?: PipeOptions } = {},
  ) {
    this.#subsystem = subsystem;
    this.#account = account;
    this.#options = options;
    this.times = times;
    this.#readerOpeners = subsystem.kernel.channel(this);
    this.#writerOpeners = subsystem.kernel.channel(this);
  }

  /** The end that everybody reads and writes; null while nobody has the pipe open. */
  get end(): PipeEnd | null {
    return this.#pair?.ends[0] ?? null;
  }

  get options(): PipeOptions {
    return this.#options;
  }

  /**
   * Changes the options, on a pipe that is in use too: calls that sleep go on by the new ones. 0, or with nothing changed -ENOMEM, or -EBUSY
   * when what is queued does not fit, or `fanout` comes or goes while somebody reads.
   */
  configure(options: PipeOptions): number {
    // Who has it open for reading would have no place to read from.
    if (options.fanout !== this.#options.fanout && this.readers > this.holders) return -EBUSY;
    const error = this.#pair === null ? this.#checkRoom(options) : this.#reshape(this.#pair, options);
    // A ring that has become smaller, or is charged to another user, leaves memory to others.
    this.#subsystem.crampedEnds.growthReturned();
    if (error !== 0) return error;
    this.#options = options;
    if (this.#pair === null) return 0;
    if (options.hold && this.holders === 0) this.#hold(this.#pair.ends[0]);
    else if (!options.hold && this.holders > 0) this.#letGo();
    return 0;
  }

  /** The last name is gone: it holds nothing open any more. */
  nameRemoved(): void {
    this.#options = { ...this.#options, hold: false };
    if (this.holders > 0) this.#letGo();
  }

  /** A pipe that nobody has open gets its ring with its first opener; whether there is room for it is known now. */
  #checkRoom({ capacityBytes }: PipeOptions): number {
    const holds = this.#account?.holds(Resource.PipeBytes, capacityBytes) ?? true;
    return holds && this.#subsystem.budget.holds(capacityBytes) ? 0 : -ENOMEM;
  }

  #reshape(pair: PipePair, options: PipeOptions): number {
    const end = pair.ends[0];
    const queue = end.discipline as OptionDiscipline | null;
    if (isPlain(options)) return queue?.finish() ?? 0;
    if (queue !== null) return queue.change(options);
    const error = pair.chargeTo(this.#account ?? pair.account);
    return error === 0 ? this.#subsystem.disciplineFor(end, options, this.drops).begin() : error;
  }

  #hold(end: PipeEnd): void {
    this.holders = 1;
    this.readers++;
    this.#readerOpens++;
    if (this.readers === 1) this.#otherSideArrived(end, this.writers, this.#writerOpeners);
    this.writers++;
    this.#writerOpens++;
    if (this.writers === 1) this.#otherSideArrived(end, this.readers, this.#readerOpeners);
  }

  /** The name lets go as two open files would: readers get to end-of-file, and bytes that nobody can read any more are lost. */
  #letGo(): void {
    this.holders = 0;
    const queuedBytes = this.end!.queuedBytes;
    this.#leaveReader();
    this.#leaveWriter();
    if (this.readers > 0 || this.writers > 0) return;
    this.drops.bytes += queuedBytes;
    this.#subsystem.drops.bytes += queuedBytes;
    this.#destroyIfUnused();
  }

  /**
   * open(2) (fifo_open; P121 to P130). Gives `file` its operations; sleeps until the other side opens, unless the file is
   * non-blocking or for both directions. 0, or -EINVAL (neither direction), -ENOMEM, -ENXIO, -EINTR; then it is not counted.
   */
  *open(file: File): Operation<number> {
    const error = this.#enter(file, true);
    if (error !== 0 || file.nonBlocking) return error;
    if (file.readable && this.writers === 0) {
      const opens = this.#writerOpens;
      this.waitingReaders++;
      this.openKlist.notify(0);
      const woken = yield* sleep(this.#readerOpeners, readerOpenSleep);
      this.waitingReaders--;
      if (woken === WakeReason.Interrupted && opens === this.#writerOpens) {
        this.#leaveReader();
        this.#destroyIfUnused();
        return -EINTR;
      }
    }
    if (file.writable && this.readers === 0) {
      const opens = this.#readerOpens;
      const woken = yield* this.#awaitReader();
      if (woken === WakeReason.Interrupted && opens === this.#readerOpens) {
        this.#leaveWriter();
        this.#destroyIfUnused();
        return -EINTR;
      }
    }
    return 0;
  }

  /**
   * An open that must not sleep, as the host holds the directory's lock meanwhile: the one that makes the pipe's name, or one that
   * meant to. The maker needs no reader yet, whatever the flags. A blocking writer meets its reader at its first write instead, so
   * that nothing that it writes is lost at its close.
   */
  openAtOnce(file: File, isMaker: boolean): number {
    const error = this.#enter(file, !isMaker);
    if (error === 0 && file.writable && !file.nonBlocking && this.readers === 0) {
      file.pipeMeeting = this.#readerOpens;
    }
    return error;
  }

  /** close(2) (fifo_close; P131 to P133): of a file that reads, of one that writes, and then of either. */
  closeReader(): void {
    this.#leaveReader();
  }

  closeWriter(): void {
    this.#leaveWriter();
  }

  closed(): void {
    this.#destroyIfUnused();
  }

  /** The first write after `openAtOnce`: waits for a reader to have opened since (P126). */
  *meetThenWrite(file: File, uio: WriteUio, credentials: Credentials): Operation<number> {
    while (this.#readerOpens === file.pipeMeeting && !file.nonBlocking) {
      const woken = yield* this.#awaitReader();
      if (woken === WakeReason.Interrupted && this.#readerOpens === file.pipeMeeting) return -EINTR;
    }
    if (this.#readerOpens !== file.pipeMeeting) file.pipeMeeting = -1;
    return yield* writeNow(file, uio, credentials);
  }

  *#awaitReader(): Operation<WakeReason> {
    this.waitingWriters++;
    this.klist.notify(0);
    this.openKlist.notify(0);
    const woken = yield* sleep(this.#writerOpeners, writerOpenSleep);
    this.waitingWriters--;
    return woken;
  }

  /**
   * Counts an opener, makes the pair for the first one, and wakes the openers of the other side. `needsReader`: whether a
   * non-blocking writer is refused as long as nobody reads (P123).
   */
  #enter(file: File, needsReader: boolean): number {
    if (!file.readable && !file.writable) return -EINVAL;
    if (this.#pair === null) {
      const error = this.#makePair(file.credentials);
      if (error !== 0) return error;
    }
    const end = this.#pair!.ends[0];
    if (file.readable) {
      this.readers++;
      this.#readerOpens++;
      if (this.readers === 1) this.#otherSideArrived(end, this.writers, this.#writerOpeners);
      file.pipeGeneration = end.writerGeneration - this.writers;
      if (end.discipline !== null) {
        end.discipline.opened(file);
        file.wantsCloses = end.discipline.wantsCloses;
      }
    }
    if (file.writable) {
      if (needsReader && file.nonBlocking && this.readers === 0) {
        this.#destroyIfUnused();
        return -ENXIO;
      }
      this.writers++;
      this.#writerOpens++;
      if (this.writers === 1) this.#otherSideArrived(end, this.readers, this.#readerOpeners);
    }
    file.ops = fifoOps;
    file.data = end;
    return 0;
  }

  /** The pair of a pipe that nobody had open: 0 or -ENOMEM. */
  #makePair(credentials: Credentials): number {
    const isOptioned = !isPlain(this.#options);
    const account = isOptioned ? this.#account : null;
    const pair = PipePair.create(this.#subsystem, credentials, this, account);
    if (pair === null) return -ENOMEM;
    const { disciplineFor } = this.#subsystem;
    if (isOptioned && disciplineFor(pair.ends[0], this.#options, this.drops).begin() !== 0) {
      for (const end of pair.ends) closeIdle(end);
      return -ENOMEM;
    }
    this.#pair = pair;
    if (this.#options.hold) this.#hold(pair.ends[0]);
    return 0;
  }

  #otherSideArrived(end: PipeEnd, waiting: number, openers: WaitChannel): void {
    end.endOfFile = false;
    if (waiting > 0) {
      openers.wakeup();
      end.notify();
    } else {
      // Nobody has the pipe open who could poll it, but its name may be watched.
      this.klist.notify(0);
    }
  }

  #leaveReader(): void {
    assert(this.readers > 0, 'a reader leaves once');
    this.readers--;
    if (this.readers > 0) return;
    const end = this.end!;
    end.endOfFile = true;
    end.wakeWriters();
    end.notify();
  }

  #leaveWriter(): void {
    assert(this.writers > 0, 'a writer leaves once');
    this.writers--;
    if (this.writers > 0) return;
    const end = this.end!;
    end.endOfFile = true;
    end.writerGeneration++;
    end.wakeReaders();
    end.notify();
  }

  /** Repeats the invariants; called after every step in tests. */
  checkInvariants(): void {
    this.openKlist.checkInvariants();
    assert(this.readers >= this.holders && this.writers >= this.holders, 'an opener is counted once');
    assert(this.holders === (this.#options.hold && this.#pair !== null ? 1 : 0), 'a held pipe is held once');
    assert(
      (this.#pair !== null) === this.readers + this.writers > 0,
      'a named pipe has a pair while it is open',
    );
    assert(this.#readerOpeners.checkInvariants() <= this.readers, 'a reader that waits to open is counted');
    // Threads that share a file may wait together for the reader that their first write is to meet.
    const writing = this.#writerOpeners.checkInvariants();
    assert(writing === 0 || this.writers > 0, 'a writer that waits for a reader is counted');
  }

  /** Ends the pair, with unread data, when nobody has the pipe open (pipe_dtor; P119, P133). */
  #destroyIfUnused(): void {
    if (this.readers > 0 || this.writers > 0 || this.#pair === null) return;
    const { discipline } = this.#pair.ends[0];
    if (discipline !== null) {
      this.#pair.ends[0].discipline = null;
      (discipline as OptionDiscipline).dispose();
    }
    // What comes next lies behind the bytes that nobody has read.
    this.traffic.skewBytes += this.#pair.ends[0].queuedBytes;
    for (const end of this.#pair.ends) closeIdle(end);
    this.#pair = null;
    this.klist.notify(0);
    this.#readerOpens = 0;
    this.#writerOpens = 0;
  }
}
