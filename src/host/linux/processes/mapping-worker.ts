import { answerLooks } from './answer-looks.ts';
import { findMappings } from './mappings.ts';

/** A thread that looks at what the processes of the host map. */
answerLooks((deviceMinor: number, enter) => findMappings(deviceMinor, { enter }));
