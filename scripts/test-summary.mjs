// Prints the closing line of a test run from its report.
import { readFileSync } from 'node:fs';

const report = JSON.parse(readFileSync('.cache/test-report.json', 'utf8'));
const skipped = report.numPendingTests + report.numTodoTests;
console.log(
  `${report.numPassedTests} passed, ${report.numFailedTests} failed` +
    (skipped > 0 ? `, ${skipped} skipped` : ''),
);
