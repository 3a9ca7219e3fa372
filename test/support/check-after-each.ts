import { afterEach } from 'vitest';
import { checkAll } from './checked.ts';

// For every test: what it has made holds its invariants at the end, and its users are charged for what there is.
afterEach(checkAll);
