/** One line of the result: what was measured, for us and for the peer. */
export interface Row {
  readonly what: string;
  readonly unit: string;
  /** Median over the rounds. */
  readonly ipcfs: number;
  /** Median over the rounds; null when there is no peer, or it is not on this machine. */
  readonly peer: number | null;
  /** What the peer is, or why there is none. */
  readonly peerName: string;
  /** Median of the rounds' own ratios, ipcfs to peer; null without a peer. */
  readonly ratio: number | null;
  /** What the figure has to be, where there is a goal. */
  readonly goal: Goal | null;
}

/** A bound on a row's ratio or on its own figure. */
export interface Goal {
  readonly of: 'ratio' | 'figure';
  readonly at: 'least' | 'most';
  readonly bound: number;
}

export const ratioAtLeast = (bound: number): Goal => ({ of: 'ratio', at: 'least', bound });
export const ratioAtMost = (bound: number): Goal => ({ of: 'ratio', at: 'most', bound });
export const figureAtMost = (bound: number): Goal => ({ of: 'figure', at: 'most', bound });

/** Whether a row reaches its goal; null when it has none, or the peer is missing. */
export function isReached({ goal, ratio, ipcfs }: Row): boolean | null {
  if (goal === null) return null;
  const value = goal.of === 'ratio' ? ratio : ipcfs;
  if (value === null) return null;
  return goal.at === 'least' ? value >= goal.bound : value <= goal.bound;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** What a row is before its rounds have been run. */
export interface Comparison {
  readonly what: string;
  readonly unit: string;
  readonly peerName: string;
  readonly goal?: Goal;
}

/** Runs both sides in turn, `rounds` times, and makes their row. A peer that is null is not there. */
export async function compare(
  { what, unit, peerName, goal }: Comparison,
  rounds: number,
  ours: () => number | Promise<number>,
  theirs: (() => number | Promise<number>) | null,
): Promise<Row> {
  const our: number[] = [];
  const their: number[] = [];
  for (let round = 0; round < rounds; round++) {
    if (theirs !== null) their.push(await theirs());
    our.push(await ours());
  }
  return {
    what,
    unit,
    ipcfs: median(our),
    peer: theirs === null ? null : median(their),
    peerName,
    ratio: theirs === null ? null : median(our.map((value, round) => value / their[round]!)),
    goal: goal ?? null,
  };
}

function figure(value: number): string {
  if (value === 0) return '0';
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : Math.abs(value) >= 1 ? 2 : 3;
  return value.toFixed(digits);
}

function goalCell(row: Row): string {
  if (row.goal === null) return '';
  const { of, at, bound } = row.goal;
  const text = `${at === 'least' ? '>=' : '<='} ${bound}${of === 'figure' ? ` ${row.unit}` : ''}`;
  const reached = isReached(row);
  return reached === null ? text : `${text} ${reached ? 'yes' : 'NO'}`;
}

export function formatRows(rows: readonly Row[]): string {
  const cells = rows.map((row) => [
    row.what,
    `${figure(row.ipcfs)} ${row.unit}`,
    row.peer === null ? '-' : `${figure(row.peer)} ${row.unit}`,
    row.peerName,
    row.ratio === null ? '-' : row.ratio.toFixed(2),
    goalCell(row),
  ]);
  const lines = [['what', 'ipcfs', 'peer', 'which peer', 'ratio', 'goal'], ...cells];
  const widths = lines[0]!.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)));
  return lines
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join('  ')
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join('');
}
