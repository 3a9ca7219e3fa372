import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { nkeys } from '@nats-io/transport-node';

/** Certificates of an authority of its own, for a server on the loopback interface and for a client; and another authority. */
export class Certificates {
  readonly #directory = mkdtempSync(join(tmpdir(), 'ipcfs-certificates-'));

  constructor() {
    for (const authority of ['authority', 'stranger']) {
      this.#openssl(
        `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=${authority} -keyout ${authority}.key -out ${authority}.pem`,
      );
    }
    writeFileSync(this.path('names'), 'subjectAltName=IP:127.0.0.1,DNS:localhost\n');
    for (const name of ['server', 'client']) {
      this.#openssl(
        `req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=${name} -keyout ${name}.key -out ${name}.csr`,
      );
      this.#openssl(
        `x509 -req -in ${name}.csr -CA authority.pem -CAkey authority.key -CAcreateserial -days 2 -extfile names -out ${name}.pem`,
      );
    }
  }

  #openssl(line: string): void {
    execFileSync('openssl', line.split(' '), { cwd: this.#directory, stdio: 'ignore' });
  }

  path(name: string): string {
    return join(this.#directory, name);
  }

  /** Options of a server that wants a certificate of its clients. */
  get serverArgs(): string[] {
    const files = { tlscert: 'server.pem', tlskey: 'server.key', tlscacert: 'authority.pem' };
    return [
      ...['--tls', '--tlsverify'],
      ...Object.entries(files).flatMap(([option, name]) => [`--${option}`, this.path(name)]),
    ];
  }

  clean(): void {
    rmSync(this.#directory, { recursive: true });
  }
}

type KeyPair = ReturnType<typeof nkeys.createUser>;

function base64url(value: object | Uint8Array): string {
  return Buffer.from(value instanceof Uint8Array ? value : JSON.stringify(value)).toString('base64url');
}

/** A token of NATS: what `issuer` says of `subject`. */
function token(issuer: KeyPair, subject: KeyPair, name: string, nats: object): string {
  const claims = {
    jti: name,
    iat: Math.floor(Date.now() / 1000),
    iss: issuer.getPublicKey(),
    name,
    sub: subject.getPublicKey(),
    nats: { version: 2, ...nats },
  };
  const text = `${base64url({ typ: 'JWT', alg: 'ed25519-nkey' })}.${base64url(claims)}`;
  return `${text}.${base64url(issuer.sign(Buffer.from(text)))}`;
}

const NO_LIMIT = -1;

/** An operator with an account that may use JetStream, and credentials of a user of that account. */
export class Operator {
  readonly #directory = mkdtempSync(join(tmpdir(), 'ipcfs-operator-'));
  readonly credentials = join(this.#directory, 'user.creds');
  /** Credentials that somebody else has made. */
  readonly foreignCredentials = join(this.#directory, 'foreign.creds');
  readonly #configuration = join(this.#directory, 'server.conf');

  constructor() {
    const operator = nkeys.createOperator();
    const account = nkeys.createAccount();
    const limits = { subs: NO_LIMIT, data: NO_LIMIT, payload: NO_LIMIT, conn: NO_LIMIT, imports: NO_LIMIT };
    const storage = { mem_storage: NO_LIMIT, disk_storage: NO_LIMIT, streams: NO_LIMIT, consumer: NO_LIMIT };
    const accountToken = token(operator, account, 'account', {
      type: 'account',
      limits: { ...limits, exports: NO_LIMIT, wildcards: true, leaf: NO_LIMIT, ...storage },
    });
    // JetStream sends its own messages through an account of the server.
    const system = nkeys.createAccount();
    const systemToken = token(operator, system, 'system', {
      type: 'account',
      limits: { ...limits, exports: NO_LIMIT, wildcards: true, leaf: NO_LIMIT },
    });
    const configuration = [
      `operator: ${token(operator, operator, 'operator', { type: 'operator' })}`,
      `system_account: ${system.getPublicKey()}`,
      'resolver: MEMORY',
      'resolver_preload: {',
      `  ${account.getPublicKey()}: ${accountToken}`,
      `  ${system.getPublicKey()}: ${systemToken}`,
      '}',
    ];
    writeFileSync(this.#configuration, `${configuration.join('\n')}\n`);
    writeFileSync(this.credentials, credentialsOf(account));
    writeFileSync(this.foreignCredentials, credentialsOf(nkeys.createAccount()));
  }

  get serverArgs(): string[] {
    return ['-c', this.#configuration];
  }

  clean(): void {
    rmSync(this.#directory, { recursive: true });
  }
}

/** A file of credentials as NATS's tools write it, of a new user of the account. */
function credentialsOf(account: KeyPair): string {
  const user = nkeys.createUser();
  const limits = { subs: NO_LIMIT, data: NO_LIMIT, payload: NO_LIMIT };
  const userToken = token(account, user, 'user', { type: 'user', pub: {}, sub: {}, ...limits });
  const seed = Buffer.from(user.getSeed()).toString();
  const part = (title: string, text: string): string =>
    `-----BEGIN ${title}-----\n${text}\n------END ${title}------\n`;
  return `${part('NATS USER JWT', userToken)}\n${part('USER NKEY SEED', seed)}`;
}
