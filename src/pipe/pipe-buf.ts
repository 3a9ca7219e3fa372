/** Writes up to this size are atomic. PIPE_BUF of Linux; FreeBSD's own value is 512 (decision D11). */
export const DEFAULT_PIPE_BUF_BYTES = 4096;
export const MINIMUM_PIPE_BUF_BYTES = 512;
