/** One thing that a mount needs or profits from. */
export interface Finding {
  readonly what: string;
  readonly isFine: boolean;
  /** Whether there is no mount without it. */
  readonly isNeeded: boolean;
  /** What was found, or how to get it. */
  readonly detail: string;
}
