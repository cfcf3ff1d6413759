// Delays between requests.

export const delay = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Wait before a retry, with jitter: clients must not retry all at once after an outage. */
export const retryDelay = () => delay(1000 + 2000 * Math.random());
