// Prints the closing line of a test run from its report.
import { existsSync, readFileSync } from 'node:fs';

const RING_REPORT = '.cache/test-ring-report.json';
if (existsSync(RING_REPORT)) {
  const { numPassedTests, numFailedTests } = JSON.parse(readFileSync(RING_REPORT, 'utf8'));
  console.log(`through an io_uring: ${numPassedTests} passed, ${numFailedTests} failed`);
} else {
  console.log('through an io_uring: none, since the kernel could not be made to offer it');
}

const report = JSON.parse(readFileSync('.cache/test-report.json', 'utf8'));
const skipped = report.numPendingTests + report.numTodoTests;
console.log(
  `${report.numPassedTests} passed, ${report.numFailedTests} failed` +
    (skipped > 0 ? `, ${skipped} skipped` : ''),
);
