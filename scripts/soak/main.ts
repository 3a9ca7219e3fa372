/**
 * Runs for hours what the tests run for a minute. `npm run soak` is the simulation, with --minutes it is the load of shell tools and
 * other processes on a real mount.
 */
import { parseArgs } from 'node:util';
import { soakMount } from './mount.ts';
import { replay, soakSimulation } from './simulation.ts';

const DEFAULT_HOURS = 1;
const DEFAULT_STEPS = 2000;

const USAGE =
  'usage: npm run soak -- --minutes MINUTES [--seed SEED] [--collect]\n' +
  '       npm run soak -- [--simulate] [--hours HOURS] [--steps STEPS] [--seed FIRST]\n' +
  '       npm run soak -- --replay SEED [--steps STEPS]';

function numberOf(text: string | undefined, fallback: number, name: string): number {
  const value = text === undefined ? fallback : Number(text);
  if (!Number.isFinite(value) || value < 0 || text === '')
    throw new TypeError(`${name} takes a number from 0 on`);
  return value;
}

async function main(): Promise<boolean> {
  const { values } = parseArgs({
    options: {
      simulate: { type: 'boolean', default: true },
      minutes: { type: 'string' },
      collect: { type: 'boolean', default: false },
      hours: { type: 'string' },
      steps: { type: 'string' },
      seed: { type: 'string' },
      replay: { type: 'string' },
    },
  });
  const steps = Math.floor(numberOf(values.steps, DEFAULT_STEPS, '--steps'));
  if (values.replay !== undefined) return replay(numberOf(values.replay, 0, '--replay'), steps);
  if (values.minutes !== undefined) {
    const minutes = numberOf(values.minutes, 0, '--minutes');
    return soakMount({
      minutes,
      seed: numberOf(values.seed, Date.now() % 2 ** 32, '--seed'),
      isCollecting: values.collect,
    });
  }
  const hours = numberOf(values.hours, DEFAULT_HOURS, '--hours');
  return soakSimulation({ hours, steps, firstSeed: numberOf(values.seed, 0, '--seed') });
}

try {
  if (!(await main())) process.exitCode = 1;
} catch (error) {
  if (!(error instanceof TypeError)) throw error;
  process.stderr.write(`soak: ${error.message}\n${USAGE}\n`);
  process.exitCode = 2;
}
