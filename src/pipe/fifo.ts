import { assert } from '../kern/assert.ts';
import type { Timestamps } from '../kern/clock.ts';
import type { Credentials } from '../kern/credentials.ts';
import { EINTR, EINVAL, ENOMEM, ENXIO } from '../kern/errno.ts';
import type { File, FileOps } from '../kern/file.ts';
import { Klist } from '../kern/klist.ts';
import { type Operation, sleep, type WaitChannel, WakeReason } from '../kern/operation.ts';
import type { WriteUio } from '../kern/uio.ts';
import { closeIdle } from './close.ts';
import type { PipeEnd, Traffic } from './end.ts';
import { pipeKqfilter } from './filters.ts';
import { pipeIoctl } from './ioctl.ts';
import { PipePair } from './pair.ts';
import { pipePoll } from './poll.ts';
import { pipeRead } from './read.ts';
import type { PipeSubsystem } from './subsystem.ts';
import { pipeWrite } from './write.ts';

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
  readonly traffic: Traffic = { bytesIn: 0, bytesOut: 0 };
  #pair: PipePair | null = null;
  readers = 0;
  writers = 0;
  /** Opens ever made, to see that the awaited peer came while a sleeper was interrupted (fi_rgen, fi_wgen). */
  #readerOpens = 0;
  #writerOpens = 0;

  /** `times` are the node's own: the pipe's reads and writes stamp them. */
  constructor(subsystem: PipeSubsystem, times: Timestamps) {
    this.#subsystem = subsystem;
    this.times = times;
    this.#readerOpeners = subsystem.kernel.channel(this);
    this.#writerOpeners = subsystem.kernel.channel(this);
  }

  /** The end that everybody reads and writes; null while nobody has the pipe open. */
  get end(): PipeEnd | null {
    return this.#pair?.ends[0] ?? null;
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
      const woken = yield* sleep(this.#readerOpeners, readerOpenSleep);
      if (woken === WakeReason.Interrupted && opens === this.#writerOpens) {
        this.#leaveReader();
        this.#destroyIfUnused();
        return -EINTR;
      }
    }
    if (file.writable && this.readers === 0) {
      const opens = this.#readerOpens;
      const woken = yield* sleep(this.#writerOpeners, writerOpenSleep);
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

  /** close(2) (fifo_close; P131 to P133). */
  close(file: File): void {
    if (file.readable) this.#leaveReader();
    if (file.writable) this.#leaveWriter();
    this.#destroyIfUnused();
  }

  /** The first write after `openAtOnce`: waits for a reader to have opened since (P126). */
  *meetThenWrite(file: File, uio: WriteUio, credentials: Credentials): Operation<number> {
    while (this.#readerOpens === file.pipeMeeting && !file.nonBlocking) {
      const woken = yield* sleep(this.#writerOpeners, writerOpenSleep);
      if (woken === WakeReason.Interrupted && this.#readerOpens === file.pipeMeeting) return -EINTR;
    }
    if (this.#readerOpens !== file.pipeMeeting) file.pipeMeeting = -1;
    return yield* pipeWrite(file, uio, credentials);
  }

  /**
   * Counts an opener, makes the pair for the first one, and wakes the openers of the other side. `needsReader`: whether a
   * non-blocking writer is refused as long as nobody reads (P123).
   */
  #enter(file: File, needsReader: boolean): number {
    if (!file.readable && !file.writable) return -EINVAL;
    if (this.#pair === null) {
      this.#pair = PipePair.create(this.#subsystem, file.credentials, this);
      if (this.#pair === null) return -ENOMEM;
    }
    const end = this.#pair.ends[0];
    if (file.readable) {
      this.readers++;
      this.#readerOpens++;
      if (this.readers === 1) this.#otherSideArrived(end, this.writers, this.#writerOpeners);
      file.pipeGeneration = end.writerGeneration - this.writers;
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

  #otherSideArrived(end: PipeEnd, waiting: number, openers: WaitChannel): void {
    end.endOfFile = false;
    if (waiting === 0) return;
    openers.wakeup();
    end.notify();
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

  /** Ends the pair, with unread data, when nobody has the pipe open (pipe_dtor; P119, P133). */
  #destroyIfUnused(): void {
    if (this.readers > 0 || this.writers > 0 || this.#pair === null) return;
    for (const end of this.#pair.ends) closeIdle(end);
    this.#pair = null;
    this.klist.notify(0);
    this.#readerOpens = 0;
    this.#writerOpens = 0;
  }
}

function fifoOf(file: File): Fifo {
  return (file.data as PipeEnd).pair.fifo!;
}

/** The operations of an open named pipe. Its `data` is the PipeEnd that everybody shares. */
export const fifoOps: FileOps = {
  read: pipeRead,
  write: (file, uio, credentials) =>
    file.pipeMeeting < 0
      ? pipeWrite(file, uio, credentials)
      : fifoOf(file).meetThenWrite(file, uio, credentials),
  ioctl: pipeIoctl,
  poll: pipePoll,
  kqfilter: pipeKqfilter,
  *close(file) {
    fifoOf(file).close(file);
    return 0;
  },
};
