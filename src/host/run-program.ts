import { execFile } from 'node:child_process';
import type { RunProgram } from './platform.ts';

const TIMEOUT_MS = 10_000;

/** Runs a program without a shell; what it prints goes nowhere. */
export const runProgram: RunProgram = (program, args) =>
  new Promise((resolve) => {
    execFile(program, [...args], { timeout: TIMEOUT_MS }, (error) => {
      if (error === null) resolve(0);
      else resolve(typeof error.code === 'number' ? error.code : -1);
    });
  });
