import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type * as PageModule from '../../src/cli/trace/picture/page-form.ts';
import type * as PerfettoModule from '../../src/cli/trace/picture/perfetto-form.ts';
import type { TraceFields } from '../../src/cli/trace/trace-lines.ts';
import { Browser, describeBrowser } from '../support/browser.ts';

/** A page goes until the moment in which it was written: what it shows began half a second before. */
let beginSeconds = 0;
const AGO_SECONDS = 0.5;
const READY = 'document.documentElement?.dataset.ready === "yes"';
/** Where screenshots go that a person wants to look at. */
const PICTURES = process.env['IPCFS_PAGE_PICTURES'];

/** Pages are put together from compiled modules. */
async function built<Module>(name: string): Promise<Module> {
  return (await import(
    new URL(`../../dist/src/cli/trace/picture/${name}.js`, import.meta.url).href
  )) as Module;
}

type Line = Omit<TraceFields, 'time' | 'type'> & { readonly us: number; readonly type?: TraceFields['type'] };

function fieldsOf({ us, type = 'end', duration = 0, blocked = 0, ...others }: Line): TraceFields {
  const times = { time: beginSeconds + us / 1e6, duration: duration / 1e6, blocked: blocked / 1e6 };
  return { type, process: others.pid ?? 0, command: 'worker', result: 0, ...others, ...times };
}

/** `count` processes in a row, of which each copies what the one before it wrote. */
function chain(count: number): Line[] {
  const lines: Line[] = [];
  for (let index = 0; index < count; index++) {
    const pid = 1000 + index;
    const from = `pipes/p${index}`;
    const to = `pipes/p${index + 1}`;
    lines.push({ us: index * 20, duration: 9, pid, call: 'open', object: to, flags: 'wronly' });
    for (let round = 0; round < 20; round++) {
      const us = 10_000 + round * 5000 + index * 12;
      const moved = { size: 100, result: 100, offset: round * 100, inode: index };
      if (index > 0)
        lines.push({ us, duration: 5, pid, call: 'read', object: from, fill: 0, ...moved, inode: index - 1 });
      lines.push({ us: us + 6, duration: 5, pid, call: 'write', object: to, fill: 100, ...moved });
    }
  }
  return lines;
}

describeBrowser('the pictures of ipcfs trace in Chromium', () => {
  const scratch = mkdtempSync(join(tmpdir(), 'ipcfs-page-'));
  const file = join(scratch, 'page.html');
  let browser: Browser;
  let pages: typeof PageModule;
  beforeAll(async () => {
    browser = await Browser.start();
    pages = await built<typeof PageModule>('page-form');
  });
  afterAll(async () => {
    await browser.stop();
    rmSync(scratch, { recursive: true });
  });

  async function show(
    lines: readonly Line[],
    more: (form: PageModule.PageForm) => string = () => '',
  ): Promise<void> {
    beginSeconds = Date.now() / 1000 - AGO_SECONDS;
    const form = new pages.PageForm(beginSeconds);
    const text = form.header + lines.map((line) => form.format(fieldsOf(line))).join('') + more(form);
    writeFileSync(file, text + form.footer, 'latin1');
    await browser.open(file, READY);
    expect(browser.messages).toEqual([]);
    expect(browser.requests).toEqual([`file://${file}`]);
  }

  const text = (id: string): Promise<unknown> =>
    browser.evaluate(`document.getElementById('${id}').textContent`);
  const count = (selector: string): Promise<unknown> =>
    browser.evaluate(`document.querySelectorAll('${selector}').length`);
  /** How many pixels of the timeline have a colour of the page. */
  const pixels = (colour: string): Promise<unknown> =>
    browser.evaluate(`new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(() => {
      const canvas = document.getElementById('timeline');
      const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
      const hex = getComputedStyle(document.documentElement).getPropertyValue('--${colour}').trim();
      const wanted = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
      let found = 0;
      for (let at = 0; at < data.length; at += 4) if (wanted.every((value, index) => data[at + index] === value)) found++;
      resolve(found);
    })))`);

  async function picture(name: string): Promise<void> {
    if (PICTURES !== undefined) writeFileSync(join(PICTURES, `${name}.png`), await browser.picture());
  }

  const stuckLines: Line[] = [
    ...chain(1),
    { us: 200_000, type: 'wait', duration: 5, pid: 1, call: 'read', object: 'pipes/a', wait: 'piperd' },
    { us: 210_000, type: 'wait', duration: 5, pid: 2, call: 'read', object: 'pipes/b', wait: 'piperd' },
    { us: 400_000, pid: 1000, call: 'getattr', object: 'pipes' },
  ];
  const deadlock = (form: PageModule.PageForm): string =>
    form.formatDeadlock(beginSeconds + 0.3, 'deadlock: worker 1 and worker 2 wait for each other', [
      { process: 1, thread: 1, command: 'worker', call: 'read', object: 'pipes/a', enders: [2] },
      { process: 2, thread: 2, command: 'worker', call: 'read', object: 'pipes/b', enders: [1] },
    ]);

  test('a deadlock stands out: above the timeline, in it, and in the graph', async () => {
    await browser.scheme('light');
    await show(stuckLines, deadlock);
    expect(await text('summary')).toContain('3 processes');
    expect(await text('deadlocks')).toBe('deadlock: worker 1 and worker 2 wait for each other');
    expect(await count('.node.process.stuck')).toBe(2);
    expect(await count('.node.object.stuck')).toBe(2);
    expect(await count('.edge.stuck')).toBe(4);
    expect(await pixels('stuck')).toBeGreaterThan(1000);
    expect(await pixels('write')).toBeGreaterThan(10);
    await picture('deadlock-light');
    await browser.scheme('dark');
    // The page paints again in a frame after the one in which the query matches.
    await expect.poll(() => pixels('panel'), { timeout: 10_000 }).toBeGreaterThan(1000);
    expect(await pixels('stuck')).toBeGreaterThan(1000);
    await picture('deadlock-dark');
    await show(stuckLines);
    expect(await pixels('stuck')).toBe(0);
    expect(await count('.stuck')).toBe(0);
    expect(await pixels('blocked')).toBeGreaterThan(1000);
  });

  test('keys and the pointer move, zoom and select', async () => {
    await show(chain(3));
    await browser.evaluate(`document.getElementById('timeline').focus()`);
    await browser.press('n');
    expect(await text('facts')).toMatch(
      /^open pipes\/p1 · worker 1000 · at 0\.000000 s · took 9 µs · result 0/,
    );
    await browser.press('n');
    expect(await text('facts')).toMatch(/^write pipes\/p1 · .*size=100 offset=0 fill=100$/);
    const far = await pixels('write');
    await browser.press('Enter');
    expect(await pixels('write')).toBeGreaterThan(10 * Number(far));
    // The call fills the middle of its row.
    const box = (await browser.evaluate(
      `(({ left, top, width }) => [left + 190 + (width - 190) / 2, top + 26 + 12])(document.getElementById('timeline').getBoundingClientRect())`,
    )) as [number, number];
    await browser.mouse('mouseMoved', ...box);
    expect(await text('tip')).toMatch(/^write pipes\/p1 · /);
    await browser.press('Escape');
    expect(await text('facts')).toBe('Select a call to see its facts.');
    await browser.mouse('mousePressed', ...box);
    await browser.mouse('mouseReleased', ...box);
    expect(await text('facts')).toMatch(/^write pipes\/p1 · /);
    await browser.press('0');
    expect(await pixels('write')).toBeLessThan(10 * Number(far));
    await browser.evaluate(`document.querySelector('.node.process').dispatchEvent(new Event('click'))`);
    expect(await text('facts')).toMatch(/worker 100\d/);
    await browser.evaluate(
      `(() => { const input = document.getElementById('filter'); input.value = 'nothing'; input.dispatchEvent(new Event('input')); })()`,
    );
    expect(await pixels('write')).toBe(0);
  });

  test('300 processes are shown within seconds', async () => {
    await browser.scheme('light');
    await show(chain(300));
    expect(await text('summary')).toMatch(/ · 300 processes · 300 pipes · 12280 calls$/);
    expect(await count('.node')).toBe(600);
    expect(await pixels('write')).toBeGreaterThan(100);
    await picture('300-light');
    await browser.evaluate(`document.getElementById('timeline').focus()`);
    await browser.press('PageDown');
    await picture('300-scrolled');
  });

  test('names are text: nothing of them is run, hidden or turned', async () => {
    const bytes = (name: string): string => Buffer.from(name, 'utf8').toString('latin1');
    const names = [
      '</script><script>alert(1)</script>',
      '<!--<script>',
      '<img src=x onerror=alert(1)>',
      '\u202etxt',
      '\u0085\u001b[31m',
      '"\\\u2028',
      'é',
    ];
    const lines = names.map((name, index): Line => ({
      us: index * 10,
      duration: 5,
      pid: 1,
      command: bytes(name),
      call: 'read',
      object: `pipes/${bytes(name)}`,
      result: 1,
    }));
    await show(lines, (form) => form.formatDeadlock(beginSeconds, bytes(names.join(' ')), []));
    expect(await count('.node.object')).toBe(names.length);
    expect(await count('img, script:not(head script, #data)')).toBe(0);
    const shown = `${String(await browser.evaluate('document.body.innerText'))}${String(await text('graph'))}`;
    expect(shown).toContain('pipes/</script><script>alert(1)</script>');
    expect(shown).toContain('pipes/é');
    // eslint-disable-next-line no-control-regex -- control characters are what is looked for
    expect(shown.replaceAll('\n', '')).not.toMatch(/[\u202e\u0080-\u009f\0-\x1f\u2028]/);
    expect(readFileSync(file, 'utf8')).not.toContain('alert(1)</script>');
  });

  test('speedscope, a viewer of traces, opens what --perfetto writes', async () => {
    const { PerfettoForm } = await built<typeof PerfettoModule>('perfetto-form');
    const form = new PerfettoForm(beginSeconds);
    const lines = [...chain(3), ...stuckLines];
    const trace = form.header + lines.map((line) => form.format(fieldsOf(line))).join('') + form.footer;
    const script = join(scratch, 'trace.js');
    const base64 = Buffer.from(trace, 'latin1').toString('base64');
    writeFileSync(script, `speedscope.loadFileFromBase64("trace.json", "${base64}")`);
    const folder = dirname(createRequire(import.meta.url).resolve('speedscope/package.json'));
    const opened = `document.body?.innerText.includes('worker (pid 1')`;
    await browser.open(`${join(folder, 'dist/release/index.html')}#localProfilePath=${script}`, opened);
    expect(await browser.evaluate('document.title')).toBe('trace.json - speedscope');
    await picture('speedscope');
  });
});
