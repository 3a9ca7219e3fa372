import type { Command } from 'commander';
import { defineWaits } from './blocked-calls/define-waits.ts';
import { defineCflags } from './c-programs/define-cflags.ts';
import { defineBridge } from './bridge/define-bridge.ts';
import { defineCompletion } from './completion/define-completion.ts';
import { defineDoctor } from './doctor/define-doctor.ts';
import { defineHelp } from './help/command.ts';
import { defineMount, defineUmount } from './mount/define-mount.ts';
import { defineGet, defineSet, defineUnset } from './options/define-options.ts';
import { defineReplay } from './replay/define-replay.ts';
import { defineStatus } from './status/define-status.ts';
import { defineRun } from './test-run/define-run.ts';
import { defineTop } from './top/define-top.ts';
import { defineTrace } from './trace/define-trace.ts';
import { defineWait } from './wait-for-events/define-wait.ts';

/**
 * Every command, in the order in which the help lists them. Each is defined beside what it does, and loads that when it is given: a
 * new command is a folder with a `define-NAME.ts`, and a place in this list.
 */
export const COMMANDS: readonly ((root: Command) => void)[] = [
  defineMount,
  defineUmount,
  defineRun,
  defineStatus,
  defineTop,
  defineWait,
  defineWaits,
  defineTrace,
  defineReplay,
  defineSet,
  defineUnset,
  defineGet,
  defineCflags,
  defineBridge,
  defineDoctor,
  defineCompletion,
  defineHelp,
];
