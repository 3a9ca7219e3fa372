// tsc writes files without the executable bit, and `npx ipcfs` or a linked bin needs it.
import { chmodSync } from 'node:fs';

chmodSync(new URL('../dist/src/cli/main.js', import.meta.url), 0o755);
