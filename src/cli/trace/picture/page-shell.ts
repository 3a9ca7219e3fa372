import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const require = createRequire(import.meta.url);

/** The modules of the page, each after those that it imports. */
const MODULES = [
  'rows',
  'model',
  'colours',
  'layout',
  'paint',
  'timeline-view',
  'graph',
  'graph-layout',
  'graph-view',
  'main',
];

/** One script of all modules, each a function that gives what it exports. */
function pageScript(): string {
  const parts = MODULES.map((name) => {
    const source = readFileSync(new URL(`../page/${name}.js`, import.meta.url), 'utf8');
    const exported = [...source.matchAll(/^export (?:class|function|const) (\w+)/gm)].map(
      ([, word]) => word!,
    );
    const body = source
      .replaceAll(/^import (\{[^}]*\}) from ["']\.\/([\w-]+)\.js["'];$/gm, "const $1 = modules['$2'];")
      .replaceAll(/^export \{\};$/gm, '')
      .replaceAll(/^export (?=class|function|const)/gm, '');
    return `modules['${name}'] = (() => {\n${body}return { ${exported.join(', ')} };\n})();\n`;
  });
  return `'use strict';\nconst modules = {};\n${parts.join('')}`;
}

/** dagre as its package has it for browsers, with its licence. */
function dagreScript(): string {
  const folder = dirname(require.resolve('@dagrejs/dagre/package.json'));
  const licence = readFileSync(join(folder, 'LICENSE'), 'utf8').replaceAll('*/', '* /');
  const script = readFileSync(join(folder, 'dist/dagre.min.js'), 'utf8');
  return `/* dagre\n${licence}*/\n${script.replaceAll(/^\/\/# sourceMappingURL=.*$/gm, '')}`;
}

/** A script as HTML can hold it. */
function inline(script: string): string {
  return script.replaceAll(/<(?=!--|\/?script)/gi, String.raw`\x3c`);
}

const STYLE = `
:root { color-scheme: light dark;
  --page: #f6f7f9; --panel: #ffffff; --text: #1a1d21; --muted: #5c6570; --border: #d5dae0; --row: #ffffff; --row-2: #f7f8fa;
  --grid: #e6e9ee; --read: #8ec5f0; --write: #9bd8a4; --open: #c9b8ec; --poll: #e2d9a6; --other: #c7cdd4; --on-call: #14212b;
  --blocked: #f2a65a; --stuck: #d6263b; --stuck-2: #a3122a; --on-stuck: #ffffff; --fill: #7aa7d9; --arrow: #5d6b7a99;
  --cursor: #3b6fd6; --mark: #8a6d00; }
@media (prefers-color-scheme: dark) { :root {
  --page: #15181c; --panel: #1c2025; --text: #e7eaee; --muted: #98a2ad; --border: #343b43; --row: #1c2025; --row-2: #20252b;
  --grid: #2b3138; --read: #2f6fa3; --write: #3a7d48; --open: #66559a; --poll: #7d7434; --other: #505962; --on-call: #f2f5f8;
  --blocked: #b8691c; --stuck: #e0384e; --stuck-2: #8f1226; --on-stuck: #ffffff; --fill: #3f6da0; --arrow: #aab6c399;
  --cursor: #7aa2f7; --mark: #e0c060; } }
* { box-sizing: border-box; }
html, body { height: 100%; margin: 0; }
body { display: grid; grid-template-rows: auto minmax(120px, 3fr) auto minmax(120px, 2fr); overflow: hidden; background: var(--page);
  color: var(--text); font: 13px/1.4 system-ui, sans-serif; }
body.large-graph { grid-template-rows: auto minmax(120px, 1fr) auto minmax(120px, 3fr); }
header, .bar { display: flex; flex-wrap: wrap; align-items: center; gap: 6px 14px; padding: 7px 12px; background: var(--panel);
  border-bottom: 1px solid var(--border); }
h1, h2 { margin: 0; font-size: 14px; font-weight: 600; }
#summary, #moment, .keys { color: var(--muted); }
.keys { margin-left: auto; font-size: 12px; }
#lost { background: var(--blocked); color: #14212b; border-radius: 3px; padding: 1px 8px; }
.legend { display: flex; gap: 12px; font-size: 12px; color: var(--muted); }
.legend span::before { content: ''; display: inline-block; width: 11px; height: 11px; margin-right: 5px; vertical-align: -1px;
  border-radius: 2px; background: var(--colour); }
button, input { font: inherit; color: inherit; background: var(--page); border: 1px solid var(--border); border-radius: 4px;
  padding: 2px 9px; }
header button { min-width: 30px; cursor: pointer; }
#deadlocks { background: var(--stuck); max-height: 20vh; overflow: auto; }
#deadlocks button { display: block; width: 100%; padding: 8px 12px; border: 0; border-bottom: 1px solid var(--stuck-2);
  border-radius: 0; background: none; color: var(--on-stuck); font-weight: 600; text-align: left; cursor: pointer;
  overflow-wrap: anywhere; }
#deadlocks button:hover { background: var(--stuck-2); }
#timeline { width: 100%; height: 100%; display: block; background: var(--panel); cursor: crosshair; touch-action: none; }
.bar { border-top: 1px solid var(--border); }
#facts { flex: 1 1 100%; min-height: 1.4em; overflow-wrap: anywhere; }
#graph { width: 100%; height: 100%; display: block; cursor: grab; touch-action: none; }
:focus-visible { outline: 2px solid var(--cursor); outline-offset: -2px; }
#tip { position: fixed; z-index: 2; max-width: min(560px, 90vw); padding: 6px 9px; border: 1px solid var(--border); border-radius: 4px;
  background: var(--panel); box-shadow: 0 2px 10px #0004; pointer-events: none; overflow-wrap: anywhere; }
[hidden] { display: none !important; }
.node rect { fill: var(--panel); stroke: var(--muted); }
.node.object rect { fill: var(--page); stroke-dasharray: 3 2; }
.node text { fill: var(--text); font: 12px system-ui, sans-serif; text-anchor: middle; dominant-baseline: central; }
.node.process { cursor: pointer; }
.node.waits rect { fill: var(--blocked); stroke: var(--text); }
.node.stuck rect { fill: var(--stuck); stroke: var(--stuck-2); stroke-width: 2; }
.node.stuck text { fill: var(--on-stuck); font-weight: 600; }
.edge { fill: none; stroke: var(--muted); stroke-width: 1.3; }
.edge.idle { stroke-dasharray: 2 4; opacity: .7; }
.edge.waits { stroke: var(--blocked); stroke-width: 2.5; opacity: 1; }
.edge.stuck { stroke: var(--stuck); stroke-width: 3.5; stroke-dasharray: none; opacity: 1; }
`;

const KINDS = [
  ['read', 'read'],
  ['write', 'write'],
  ['open', 'open, close'],
  ['poll', 'poll, event'],
  ['other', 'other calls'],
  ['blocked', 'blocked'],
  ['stuck', 'deadlock'],
  ['fill', 'bytes in a pipe'],
] as const;

/** What the page allows itself: nothing from anywhere else. */
const POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'";

/** The page up to its rows; in UTF-8, one character a byte. */
export function pageHead(): string {
  const legend = KINDS.map(([kind, name]) => `<span style="--colour: var(--${kind})">${name}</span>`).join(
    '',
  );
  const empty = 'Select a call to see its facts.';
  const page = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${POLICY}">
<title>ipcfs trace</title>
<style>${STYLE}</style>
<script>${inline(dagreScript())}</script>
<script>${inline(`document.addEventListener('DOMContentLoaded', () => {\n${pageScript()}});`)}</script>
</head>
<body>
<div>
<header>
<h1>ipcfs trace</h1><span id="summary"></span><span id="lost" hidden></span>
<span class="legend">${legend}</span>
<input id="filter" type="search" placeholder="process or pipe" aria-label="show only processes and pipes with this in their names">
<span><button id="zoom-in" aria-label="show less time">+</button> <button id="zoom-out" aria-label="show more time">−</button>
<button id="fit">all</button> <button id="swap">larger graph</button></span>
</header>
<div id="deadlocks" role="alert" hidden></div>
</div>
<canvas id="timeline" tabindex="0" role="application" aria-label="timeline: arrow keys move, plus and minus zoom, n and p select calls"></canvas>
<div class="bar">
<span id="facts" aria-live="polite" data-empty="${empty}">${empty}</span>
<h2>Processes and pipes</h2><span id="moment"></span>
<span class="keys">drag or arrow keys: move · ctrl+wheel or + −: zoom · n p: next, previous call · click: the moment below · 0: all</span>
</div>
<svg id="graph" tabindex="0" role="group" aria-label="graph of processes and pipes"><defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0L8 4L0 8z" fill="context-stroke"/></marker></defs></svg>
<div id="tip" role="tooltip" hidden></div>
<script type="application/json" id="data">`;
  return Buffer.from(page, 'utf8').toString('latin1');
}

/** The page behind its rows. */
export const PAGE_TAIL = '\n</script>\n</body>\n</html>\n';
