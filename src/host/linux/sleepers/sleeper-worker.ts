import { answerLooks } from '../processes/answer-looks.ts';
import { linuxProcesses } from './linux-processes.ts';
import { findSleepers, type SleepersAsked } from './sleepers.ts';
import { ownArchitecture } from './system-calls.ts';

/** A thread that looks at who sleeps outside of the mount. */
answerLooks((asked: SleepersAsked, enter) => {
  const architecture = ownArchitecture();
  return architecture === null ? [] : findSleepers(asked, { view: linuxProcesses, architecture, enter });
});
