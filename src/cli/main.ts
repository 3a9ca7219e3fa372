#!/usr/bin/env node
import { SERVER_VARIABLE } from './mount/server-input.ts';

/** Node opens the modules of a program all at once: a low limit of open files ends it before it can say what is wrong. */
try {
  if (process.env[SERVER_VARIABLE] === undefined) await import('./run.ts');
  else await (await import('./mount/serve.ts')).serveInBackground();
} catch (error) {
  if ((error as NodeJS.ErrnoException).code !== 'EMFILE') throw error;
  process.stderr.write("ipcfs: too few files may be open: raise the limit with 'ulimit -n 1024'\n");
  process.exitCode = 1;
}
