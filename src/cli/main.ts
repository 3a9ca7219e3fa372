#!/usr/bin/env node
// Nothing is imported statically: an older Node would fail in a module before it can say which Node is needed.

const NEEDED = [20, 19] as const;
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < NEEDED[0] || (major === NEEDED[0] && minor < NEEDED[1])) {
  process.stderr.write(
    `ipcfs: Node.js ${NEEDED.join('.')} or newer is needed, and this is ${process.versions.node}: install it from https://nodejs.org\n`,
  );
  process.exitCode = 1;
} else {
  await start();
}

/** Node opens the modules of a program all at once: a low limit of open files ends it before it can say what is wrong. */
async function start(): Promise<void> {
  try {
    const { SERVER_VARIABLE } = await import('./mount/server-input.ts');
    if (process.env[SERVER_VARIABLE] === undefined) await import('./run.ts');
    else await (await import('./mount/serve.ts')).serveInBackground();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EMFILE') throw error;
    process.stderr.write("ipcfs: too few files may be open: raise the limit with 'ulimit -n 1024'\n");
    process.exitCode = 1;
  }
}
