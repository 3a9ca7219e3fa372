import { Colours } from './colours.ts';
import { GraphView } from './graph-view.ts';
import { buildModel, type Call, durationText, type Model, processLabel, timeText } from './model.ts';
import type { Row } from './rows.ts';
import { TimelineView } from './timeline-view.ts';

function element(id: string): HTMLElement {
  return document.getElementById(id)!;
}

function parseRows(text: string): Row[] {
  return JSON.parse(`[${text.replaceAll('\n', ',')}]`) as Row[];
}

/** The rows that the command has written, one a line. The last one may be in part, if the command was killed while it wrote. */
function readRows(): Row[] {
  const text = element('data').textContent.trim();
  try {
    return parseRows(text);
  } catch {
    return parseRows(text.slice(0, text.lastIndexOf('\n')));
  }
}

function describe(call: Call): string {
  const { track, object, beginUs, endUs, blockedFromUs, blockedToUs, wait, result, details, isOpen } = call;
  const parts = [`${call.call} ${object}`, processLabel(track.process)];
  if (track.thread !== track.process.id && track.thread !== 0) parts.push(`thread ${track.thread}`);
  parts.push(`at ${timeText(beginUs)}`, isOpen ? 'did not end' : `took ${durationText(endUs - beginUs)}`);
  if (blockedFromUs >= 0) {
    const waited = durationText(Math.min(blockedToUs, endUs) - blockedFromUs);
    parts.push(`waited ${waited}${wait === '' ? '' : ` (${wait})`}`);
  }
  if (!isOpen) parts.push(`result ${result}`);
  if (details !== '') parts.push(details);
  if (call.isStuck) parts.push('part of a deadlock');
  return parts.join(' · ');
}

function counted(count: number, one: string, many: string): string {
  return `${count} ${count === 1 ? one : many}`;
}

function describeTrace(model: Model): string {
  const began = new Date(model.beganMs).toISOString().replace('T', ' ').slice(0, 19);
  const pipes = model.fills.length;
  return [
    `${began} UTC`,
    durationText(model.endUs),
    counted(model.processes.length, 'process', 'processes'),
    counted(pipes, 'pipe', 'pipes'),
    counted(model.callCount, 'call', 'calls'),
  ].join(' · ');
}

function start(): void {
  const model = buildModel(readRows());
  const colours = new Colours();
  const tip = element('tip');
  const facts = element('facts');
  const heading = element('moment');
  element('summary').textContent = describeTrace(model);
  if (model.lostLines > 0) {
    const lost = element('lost');
    lost.textContent = `${model.lostLines} lines of the trace were lost`;
    lost.hidden = false;
  }
  const graph = new GraphView(element('graph') as unknown as SVGSVGElement, model, {
    chosen(call) {
      timeline.select(call);
    },
  });
  const moveTo = (us: number): void => {
    const waiting = graph.at(us);
    const hidden = graph.hiddenCount === 0 ? '' : ` · ${graph.hiddenCount} of the least busy are not shown`;
    heading.textContent = `at ${timeText(us)}: ${waiting} of ${model.processes.length} processes wait${hidden}`;
  };
  const timeline = new TimelineView(element('timeline') as HTMLCanvasElement, model, colours, {
    hovered(call, x, y) {
      tip.hidden = call === null;
      if (call === null) return;
      tip.textContent = describe(call);
      tip.style.left = `${Math.max(8, Math.min(x + 14, window.innerWidth - tip.offsetWidth - 8))}px`;
      tip.style.top = `${Math.min(y + 18, window.innerHeight - tip.offsetHeight - 8)}px`;
    },
    selected(call) {
      facts.textContent = call === null ? facts.dataset['empty']! : describe(call);
    },
    moved: moveTo,
  });
  const last = model.deadlocks.at(-1);
  timeline.moveCursor(last?.us ?? model.endUs);
  const alarms = element('deadlocks');
  for (const deadlock of model.deadlocks) {
    const item = document.createElement('button');
    item.textContent = deadlock.text;
    item.addEventListener('click', () => {
      timeline.showDeadlock(deadlock);
      graph.focus(deadlock.stuck.map(({ process }) => process));
    });
    alarms.append(item);
  }
  alarms.hidden = model.deadlocks.length === 0;
  element('zoom-in').addEventListener('click', () => {
    timeline.zoom(2);
  });
  element('zoom-out').addEventListener('click', () => {
    timeline.zoom(0.5);
  });
  element('fit').addEventListener('click', () => {
    timeline.showAll();
    graph.showAll();
  });
  element('swap').addEventListener('click', () => {
    document.body.classList.toggle('large-graph');
    graph.showAll();
  });
  const filter = element('filter') as HTMLInputElement;
  filter.addEventListener('input', () => {
    timeline.filter(filter.value);
  });
  window.matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
    colours.forget();
    timeline.draw();
  });
  window.addEventListener('resize', () => {
    graph.showAll();
  });
  if (last !== undefined) graph.focus(last.stuck.map(({ process }) => process));
  document.documentElement.dataset['ready'] = 'yes';
}

start();
