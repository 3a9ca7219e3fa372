import { rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { queue, startBridge, startReader } from '../support/bridge.ts';
import { ipcfs } from '../support/cli.ts';
import { TestMount } from '../support/mount.ts';
import { Certificates, Operator } from '../support/nats-identities.ts';
import { describeBridge, NatsServer } from '../support/nats-server.ts';
import { type Running, until } from '../support/process.ts';

describeBridge('ipcfs bridge proves who it is, and asks the server to', () => {
  let mount: TestMount;
  let certificates: Certificates;
  const running: Running[] = [];
  const servers: NatsServer[] = [];
  const files: string[] = [];
  beforeAll(async () => {
    mount = await TestMount.start();
    certificates = new Certificates();
  });
  afterEach(async () => {
    for (const process of running) process.kill('SIGKILL');
    await Promise.all(running.splice(0).map((process) => process.finished()));
    for (const server of servers.splice(0)) await server.clean();
    for (const file of files.splice(0)) rmSync(file);
    await mount.output('rm -f pipes/*');
  });
  afterAll(async () => {
    await mount.stop();
    certificates.clean();
  });

  async function startServer(args: readonly string[]): Promise<NatsServer> {
    const server = await NatsServer.start({ args });
    servers.push(server);
    return server;
  }

  function bridge(...args: string[]): Running {
    const started = startBridge([...args, '--role', 'work']);
    running.push(started);
    return started;
  }

  /** A file for --connection. */
  function connection(options: object): string {
    const file = join(tmpdir(), `ipcfs-connection-${process.pid}-${files.length}.json`);
    writeFileSync(file, JSON.stringify(options), { mode: 0o600 });
    files.push(file);
    return file;
  }

  async function untilComplaint(process: Running, reason: string): Promise<void> {
    await until(
      () => process.stderr === `ipcfs: no connection: ${reason}: trying again\n`,
      () => process.stderr,
    );
  }

  /** Carries a line from one pipe to another through the server. */
  async function expectCarried(url: string, ...args: string[]): Promise<void> {
    const [from, to] = [await queue(mount, 'from'), await queue(mount, 'to')];
    const bridges = [bridge(from, url, '--out', ...args), bridge(to, url, '--in', ...args)];
    await mount.output(`echo secret > ${from}`);
    const reader = startReader(to);
    running.push(reader);
    await until(
      () => reader.stdout === 'secret\n',
      () => bridges.map(({ stderr }) => stderr).join(),
    );
  }

  test('TLS: both sides show certificates', async () => {
    const server = await startServer(certificates.serverArgs);
    const tls = {
      caFile: certificates.path('authority.pem'),
      certFile: certificates.path('client.pem'),
      keyFile: certificates.path('client.key'),
    };
    await expectCarried(server.url('jobs').replace('nats:', 'tls:'), '--connection', connection({ tls }));
  });

  test('TLS: a server of another authority, and a client without a certificate, are named', async () => {
    const server = await startServer(certificates.serverArgs);
    const url = server.url('jobs').replace('nats:', 'tls:');
    const from = await queue(mount, 'from');
    const stranger = bridge(
      ...[from, url, '--out', '--connection'],
      connection({ tls: { caFile: certificates.path('stranger.pem') } }),
    );
    await untilComplaint(stranger, 'unable to verify the first certificate');
    const anonymous = bridge(
      ...[from, url, '--out', '--connection'],
      connection({ tls: { caFile: certificates.path('authority.pem') } }),
    );
    await untilComplaint(anonymous, 'sslv3 alert bad certificate');
  });

  test('TLS: tls:// tells no server without it the password', async () => {
    const server = await startServer(['--user', 'me', '--pass', 'secret', '-DV']);
    const from = await queue(mount, 'from');
    const url = server.url('jobs').replace('nats://', 'tls://me:secret@');
    const plain = bridge(from, url, '--out');
    await until(
      () => plain.stderr.includes("does not support 'tls'"),
      () => plain.stderr,
    );
    expect(server.log).not.toContain('CONNECT');
  });

  test('credentials as NATS’s tools write them, and those of somebody else', async () => {
    const operator = new Operator();
    try {
      const server = await startServer(operator.serverArgs);
      const url = server.url('jobs');
      await expectCarried(url, '--creds', operator.credentials);
      const args = ['bridge', mount.path('pipes/from'), url, '--role', 'work', '--out'];
      expect((await ipcfs([...args, '--creds', operator.foreignCredentials])).stderr).toMatch(
        /^ipcfs: the server refuses the connection \(.*\): give credentials with --creds or --connection\n$/,
      );
      expect((await ipcfs([...args, '--creds', '/none'])).stderr).toBe(
        'ipcfs: --creds: /none cannot be read (ENOENT)\n',
      );
    } finally {
      operator.clean();
    }
  });

  test('a token stands in the address, or is refused', async () => {
    const server = await startServer(['--auth', 'open-sesame']);
    const url = server.url('jobs');
    await expectCarried(url.replace('//', '//open-sesame@'));
    const args = ['bridge', mount.path('pipes/from'), url.replace('//', '//other@'), '--role', 'work'];
    expect((await ipcfs([...args, '--out'])).stderr).toContain('the server refuses the connection');
  });
});
