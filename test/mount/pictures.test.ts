import { copyFileSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Browser } from '../support/browser.ts';
import { ipcfsCommand } from '../support/cli.ts';
import { TestMount } from '../support/mount.ts';
import { until } from '../support/process.ts';
import { Terminal } from '../support/terminal.ts';
import { terminalPage } from '../support/terminal-page.ts';

// The pictures of the README. `npm run pictures` makes them anew, with Chromium.

const images = fileURLToPath(new URL('../../native-notes/guide/images/', import.meta.url));
const NAMES = ['top.png', 'trace.png'];
const MOST_BYTES = 150_000;
const PNG = '\u0089PNG\r\n';

test.each(NAMES)('%s is a small picture', (name) => {
  const path = join(images, name);
  expect(statSync(path).size).toBeLessThan(MOST_BYTES);
  expect(readFileSync(path, 'latin1').slice(0, PNG.length)).toBe(PNG);
});

const describeMaking = process.env['IPCFS_WRITE_PICTURES'] === undefined ? describe.skip : describe;

describeMaking('the pictures are made', () => {
  let scratch = '';
  const lasting = { timeoutMs: 120_000 };
  let mount: TestMount;
  let browser: Browser;

  beforeAll(async () => {
    scratch = mkdtempSync(join(tmpdir(), 'ipcfs-pictures-'));
    mount = await TestMount.start([], { directory: '/tmp/ipc' });
    browser = await Browser.start();
    // Processes have the names of their programs.
    for (const name of ['server', 'client']) copyFileSync('/bin/bash', join(scratch, name));
  });
  afterAll(async () => {
    await browser.stop();
    await mount.stop();
    rmSync(scratch, { recursive: true });
  });

  /** Takes the part of the page that an element covers. */
  async function take(selector: string, name: string): Promise<void> {
    const rectangle = (await browser.evaluate(
      `(({ x, y, width, height }) => ({ x, y, width, height, scale: 1 }))(document.querySelector('${selector}').getBoundingClientRect())`,
    )) as object;
    const { data } = await browser.call<{ data: string }>('Page.captureScreenshot', {
      format: 'png',
      clip: rectangle,
    });
    writeFileSync(join(images, name), Buffer.from(data, 'base64'));
  }

  /** Perl sets the name of its process. It takes what is there in one read. */
  const talk = (name: string, reads: string, writes: string, steps: string): string =>
    `perl -e '$0 = "${name}"; open(R, "+<", "pipes/${reads}"); open(W, "+<", "pipes/${writes}"); for (1..9) { ${steps} }'`;
  const READ = 'sysread(R, $x, 100);';
  const pause = (seconds: number): string => `select(undef, undef, undef, ${seconds});`;

  test('ipcfs top', async () => {
    await mount.output('mkfifo pipes/jobs pipes/log pipes/requests pipes/replies pipes/old; touch kqueues/q');
    mount.start('exec 3<>pipes/jobs; for i in {1..900}; do echo "job $i" >&3; done; exec sleep 600', lasting);
    mount.start('exec 3<>pipes/log; (exec yes "a line of the log" >&3)', lasting);
    mount.start(
      `exec '${scratch}/server' -c 'exec 3<pipes/requests 4>pipes/replies; read -r line <&3'`,
      lasting,
    );
    mount.start(
      `exec '${scratch}/client' -c 'exec 4>pipes/requests 3<pipes/replies; read -r line <&3'`,
      lasting,
    );
    await mount.untilBlocked('pipes/requests', 'piperd');
    await mount.untilBlocked('pipes/replies', 'piperd');
    await until(async () => Number((await mount.pipe('pipes/jobs'))['cnt']) > 6000);
    const terminal = await Terminal.start({ columns: 100, rows: 16 });
    try {
      await terminal.enter(`${ipcfsCommand} top --interval 0.5 ${mount.directory}`);
      await terminal.until(/^DEADLOCK: /m);
      const page = join(scratch, 'top.html');
      writeFileSync(
        page,
        terminalPage(
          Buffer.from(await terminal.colors(), 'latin1')
            .toString('utf8')
            .trimEnd(),
        ),
      );
      await browser.open(page, 'document.getElementById("screen")');
      await take('#screen', 'top.png');
    } finally {
      await terminal.stop();
    }
    await mount.output('echo > pipes/requests; rm pipes/*');
  }, 60_000);

  test('the page of ipcfs trace', async () => {
    const page = join(scratch, 'trace.html');
    await mount.output('mkfifo pipes/requests pipes/replies');
    const script = join(scratch, 'talk.sh');
    const server = talk(
      'server',
      'requests',
      'replies',
      `${READ} ${pause(0.02)} syswrite(W, "reply $_\\n");`,
    );
    const client = talk(
      'client',
      'replies',
      'requests',
      `syswrite(W, "request $_\\n"); ${READ} ${pause(0.01)}`,
    );
    writeFileSync(script, `${server} & ${client}; wait\n`);
    await mount.output(
      `${ipcfsCommand} trace . --object 'pipes/*' --call read,write --html '${page}' -- bash '${script}'`,
      lasting,
    );
    await browser.call('Emulation.setDeviceMetricsOverride', {
      width: 1100,
      height: 560,
      deviceScaleFactor: 1,
      mobile: false,
    });
    await browser.open(page, 'document.documentElement?.dataset.ready === "yes"');
    await browser.scheme('light');
    await take('html', 'trace.png');
    await mount.output('rm pipes/*');
  }, 60_000);
});
