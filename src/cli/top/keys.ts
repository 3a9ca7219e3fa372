import { TABLE_NAMES, type View } from './state.ts';

/** Rows on the screen, for keys that move by them. */
export interface Layout {
  /** Keys of all rows that the filter lets through, in order. */
  readonly keys: readonly string[];
  readonly columnCount: number;
  /** Lines that the table has. */
  readonly pageRows: number;
  readonly hexPageLines: number;
  readonly hexLineCount: number;
}

const SHORTEST_INTERVAL_MS = 100;
const LONGEST_INTERVAL_MS = 60_000;

/** The view after a key, or what else the key asks for. */
export function pressed(view: View, key: string, layout: Layout): View | 'quit' | 'suspend' | 'redraw' {
  if (key === 'CTRL_C') return 'quit';
  if (key === 'CTRL_Z') return 'suspend';
  if (key === 'CTRL_L') return 'redraw';
  if (view.filterBefore !== null) return typed(view, key, view.filterBefore);
  if (view.isHelpOpen && ['?', 'h', 'ESCAPE', 'ENTER'].includes(key)) return { ...view, isHelpOpen: false };
  switch (key) {
    case 'q':
      return 'quit';
    case '?':
    case 'h':
      return { ...view, isHelpOpen: true };
    case 'ESCAPE':
      return view.isDetailOpen ? { ...view, isDetailOpen: false } : { ...view, filter: '' };
    case 'TAB':
    case 'RIGHT':
      return toTable(view, 1);
    case 'SHIFT_TAB':
    case 'LEFT':
      return toTable(view, -1);
    case 'UP':
    case 'k':
      return moved(view, layout, -1);
    case 'DOWN':
    case 'j':
      return moved(view, layout, 1);
    case 'PAGE_UP':
    case 'b':
      return paged(view, layout, -1);
    case 'PAGE_DOWN':
    case ' ':
      return paged(view, layout, 1);
    case 'HOME':
    case 'g':
      return view.isDetailOpen ? { ...view, hexLine: 0 } : moved(view, layout, -Infinity);
    case 'END':
    case 'G':
      return view.isDetailOpen ? scrolled(view, layout, Infinity) : moved(view, layout, Infinity);
    case '/':
      return { ...view, filterBefore: view.filter };
    case 's':
      return sorted(view, layout, 1);
    case 'S':
      return sorted(view, layout, -1);
    case 'r': {
      const sorting = view.sorting[view.table];
      return withSorting(view, { ...sorting, isReversed: !sorting.isReversed });
    }
    case 'ENTER':
      return { ...view, isDetailOpen: !view.isDetailOpen, hexLine: 0 };
    case '+':
      return { ...view, intervalMs: Math.min(LONGEST_INTERVAL_MS, view.intervalMs * 2) };
    case '-':
      return { ...view, intervalMs: Math.max(SHORTEST_INTERVAL_MS, view.intervalMs / 2) };
    default:
      return view;
  }
}

/** A key while the filter is typed. */
function typed(view: View, key: string, before: string): View {
  switch (key) {
    case 'ENTER':
      return { ...view, filterBefore: null };
    case 'ESCAPE':
      return { ...view, filter: before, filterBefore: null };
    case 'BACKSPACE':
    case 'DELETE':
      return { ...view, filter: Array.from(view.filter).slice(0, -1).join('') };
    case 'CTRL_U':
      return { ...view, filter: '' };
    default:
      return Array.from(key).length === 1 ? { ...view, filter: view.filter + key } : view;
  }
}

function toTable(view: View, step: number): View {
  const count = TABLE_NAMES.length;
  const index = (TABLE_NAMES.indexOf(view.table) + step + count) % count;
  return { ...view, table: TABLE_NAMES[index]!, hexLine: 0 };
}

function moved(view: View, { keys }: Layout, by: number): View {
  if (keys.length === 0) return view;
  const at = Math.max(0, keys.indexOf(view.selected[view.table] ?? ''));
  const to = Math.min(keys.length - 1, Math.max(0, at + by));
  return { ...view, selected: { ...view.selected, [view.table]: keys[to]! }, hexLine: 0 };
}

function paged(view: View, layout: Layout, direction: number): View {
  if (!view.isDetailOpen) return moved(view, layout, direction * Math.max(1, layout.pageRows - 1));
  return scrolled(view, layout, direction * Math.max(1, layout.hexPageLines - 1));
}

function scrolled(view: View, { hexLineCount, hexPageLines }: Layout, by: number): View {
  const last = Math.max(0, hexLineCount - hexPageLines);
  return { ...view, hexLine: Math.min(last, Math.max(0, view.hexLine + by)) };
}

/** Through all columns, and the order of interest before the first. */
function sorted(view: View, { columnCount }: Layout, step: number): View {
  const choices = columnCount + 1;
  const column = ((view.sorting[view.table].column + 1 + step + choices) % choices) - 1;
  return withSorting(view, { column, isReversed: false });
}

function withSorting(view: View, sorting: View['sorting'][View['table']]): View {
  return { ...view, sorting: { ...view.sorting, [view.table]: sorting } };
}
