/** One line of the result: what was measured, for us and for the peer. */
export interface Row {
  readonly what: string;
  readonly unit: string;
  /** Medians over the rounds. */
  readonly ipcfs: number;
  readonly peer: number;
  readonly peerName: string;
  /** Median of the rounds' own ratios, ipcfs to peer. */
  readonly ratio: number;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

export function formatRows(rows: readonly Row[]): string {
  const cells = rows.map((row) => [
    row.what,
    `${row.ipcfs.toFixed(1)} ${row.unit}`,
    `${row.peer.toFixed(1)} ${row.unit}`,
    row.peerName,
    row.ratio.toFixed(2),
  ]);
  const lines = [['what', 'ipcfs', 'peer', 'which peer', 'ratio'], ...cells];
  const widths = lines[0]!.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)));
  return lines
    .map((line) => line.map((cell, column) => cell.padEnd(widths[column]!)).join('  ') + '\n')
    .join('');
}
