import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { describe } from 'vitest';

const PROGRAM = 'chromium';
const CALL_TIMEOUT_MS = 20_000;

/** A group of tests in headless Chromium; it is skipped with the reason where there is none. */
export function describeBrowser(name: string, body: () => void): void {
  const isThere = spawnSync(PROGRAM, ['--version'], { stdio: 'ignore' }).status === 0;
  if (isThere) describe(name, body);
  else describe.skip(`${name} (there is no ${PROGRAM})`, body);
}

interface Answer {
  readonly id?: number;
  readonly method?: string;
  readonly params?: unknown;
  readonly result?: unknown;
  readonly error?: unknown;
}

interface Waiting {
  resolve(result: unknown): void;
  reject(error: Error): void;
}

/** A headless Chromium with one page, driven by its DevTools protocol. */
export class Browser {
  readonly #child: ChildProcess;
  readonly #profile: string;
  readonly #waiting = new Map<number, Waiting>();
  #session: string | undefined;
  #lastId = 0;
  #rest = '';
  /** Exceptions and console messages of pages. */
  readonly messages: string[] = [];
  /** What pages have asked for. */
  readonly requests: string[] = [];

  private constructor() {
    this.#profile = mkdtempSync(join(tmpdir(), 'ipcfs-browser-'));
    const args = [
      '--headless=new',
      '--no-sandbox',
      '--disable-gpu',
      '--remote-debugging-pipe',
      '--window-size=1280,900',
      `--user-data-dir=${this.#profile}`,
    ];
    this.#child = spawn(PROGRAM, args, { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] });
    (this.#child.stdio[4] as Readable).on('data', (chunk: Buffer) => {
      this.#receive(chunk.toString());
    });
  }

  static async start(): Promise<Browser> {
    const browser = new Browser();
    const { targetId } = await browser.call<{ targetId: string }>('Target.createTarget', {
      url: 'about:blank',
    });
    const { sessionId } = await browser.call<{ sessionId: string }>('Target.attachToTarget', {
      targetId,
      flatten: true,
    });
    browser.#session = sessionId;
    for (const domain of ['Page', 'Runtime', 'Network', 'Log']) await browser.call(`${domain}.enable`);
    return browser;
  }

  /** Opens a file as a page and waits until `isReady` is true in it. */
  async open(file: string, isReady: string): Promise<void> {
    this.messages.length = 0;
    this.requests.length = 0;
    // Without this, an address that differs in its fragment only is the same page.
    await this.call('Page.navigate', { url: 'about:blank' });
    await this.call('Page.navigate', { url: `file://${file}` });
    await this.until(isReady);
  }

  async until(condition: string): Promise<void> {
    const deadlineMs = performance.now() + CALL_TIMEOUT_MS;
    while ((await this.evaluate(`Boolean(${condition})`)) !== true) {
      if (performance.now() > deadlineMs) throw new Error(`never: ${condition}; ${this.messages.join('\n')}`);
    }
  }

  /** The value of an expression, or of its promise. */
  async evaluate(expression: string): Promise<unknown> {
    const { result, exceptionDetails } = await this.call<{
      result: { value?: unknown };
      exceptionDetails?: unknown;
    }>('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true });
    if (exceptionDetails !== undefined) throw new Error(JSON.stringify(exceptionDetails));
    return result.value;
  }

  async press(key: string): Promise<void> {
    const text = key.length === 1 ? { text: key } : {};
    await this.call('Input.dispatchKeyEvent', { type: 'keyDown', key, ...text });
    await this.call('Input.dispatchKeyEvent', { type: 'keyUp', key });
  }

  async mouse(type: 'mouseMoved' | 'mousePressed' | 'mouseReleased', x: number, y: number): Promise<void> {
    const button = type === 'mouseMoved' ? 'none' : 'left';
    await this.call('Input.dispatchMouseEvent', { type, x, y, button, clickCount: 1 });
  }

  async scheme(value: 'light' | 'dark'): Promise<void> {
    await this.call('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value }] });
  }

  /** A picture of the page, as PNG. */
  async picture(): Promise<Buffer> {
    const { data } = await this.call<{ data: string }>('Page.captureScreenshot', { format: 'png' });
    return Buffer.from(data, 'base64');
  }

  call<Result>(method: string, params: object = {}): Promise<Result> {
    const id = ++this.#lastId;
    const session = this.#session === undefined ? {} : { sessionId: this.#session };
    return new Promise<Result>((resolve, reject) => {
      const timer = setTimeout(() => {
        reject(new Error(`${method} is not answered`));
      }, CALL_TIMEOUT_MS);
      this.#waiting.set(id, {
        resolve: (result) => {
          clearTimeout(timer);
          resolve(result as Result);
        },
        reject: (error) => {
          clearTimeout(timer);
          reject(error);
        },
      });
      (this.#child.stdio[3] as Writable).write(`${JSON.stringify({ id, method, params, ...session })}\0`);
    });
  }

  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once('close', resolve));
    this.#child.kill('SIGKILL');
    await ended;
    rmSync(this.#profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
  }

  #receive(text: string): void {
    const parts = (this.#rest + text).split('\0');
    this.#rest = parts.pop()!;
    for (const part of parts) {
      const { id, method, params, result, error } = JSON.parse(part) as Answer;
      if (id === undefined) this.#heard(method!, params);
      else if (error === undefined) this.#waiting.get(id)?.resolve(result);
      else this.#waiting.get(id)?.reject(new Error(JSON.stringify(error)));
    }
  }

  #heard(method: string, params: unknown): void {
    if (method === 'Network.requestWillBeSent') {
      const { url } = (params as { request: { url: string } }).request;
      if (url !== 'about:blank') this.requests.push(url);
    }
    if (/exceptionThrown|consoleAPICalled|entryAdded|javascriptDialogOpening/.test(method))
      this.messages.push(`${method} ${JSON.stringify(params)}`);
  }
}
