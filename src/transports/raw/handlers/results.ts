/** An operation runs or sleeps; its end answers the request. */
export const STARTED = Number.MAX_SAFE_INTEGER;
/** Nothing is to be sent, or it has been. */
export const ANSWERED = Number.MAX_SAFE_INTEGER - 1;
