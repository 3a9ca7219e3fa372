// What the command writes into the page, a JSON array a line. Numbers that end in `Text` count the texts of the page: `s` rows, from 0. Times
// are in microseconds from the begin of the trace.

export type TextRow = readonly ['s', text: string];
/** Again when the process has another name. */
export type TrackRow = readonly [
  't',
  track: number,
  process: number,
  thread: number,
  lane: number,
  commandText: number,
];
/** A call has begun to wait. */
export type WaitRow = readonly [
  'w',
  track: number,
  callText: number,
  objectText: number,
  beginUs: number,
  blockedFromUs: number,
  waitText: number,
];
/** A call has ended; it replaces the `w` row of the same track and begin. */
export type CallRow = readonly [
  'c',
  track: number,
  callText: number,
  objectText: number,
  beginUs: number,
  endUs: number,
  /** -1 for a call that did not wait. */
  blockedFromUs: number,
  blockedUs: number,
  waitText: number,
  result: number,
  /** Other facts, for people. */
  details: string,
];
/** The end of a call that has waited was lost. */
export type ForgottenRow = readonly ['x', track: number, beginUs: number, endUs: number];
export type ArrowRow = readonly [
  'a',
  fromTrack: number,
  fromUs: number,
  toTrack: number,
  toUs: number,
  objectText: number,
  bytes: number,
];
export type FillRow = readonly ['f', objectText: number, us: number, bytes: number];
export type EventRow = readonly ['e', track: number, us: number, nameText: number, text: string];
export type LostRow = readonly ['l', us: number, lines: number];
export type StuckEntry = readonly [
  process: number,
  thread: number,
  commandText: number,
  callText: number,
  objectText: number,
  enders: readonly number[],
];
export type DeadlockRow = readonly ['d', us: number, text: string, calls: readonly StuckEntry[]];
/** The last row: until when the trace went, and when it began, in milliseconds since 1970. */
export type EndRow = readonly ['z', us: number, beganMs: number];

export type Row =
  | TextRow
  | TrackRow
  | WaitRow
  | CallRow
  | ForgottenRow
  | ArrowRow
  | FillRow
  | EventRow
  | LostRow
  | DeadlockRow
  | EndRow;
