export const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Wait before a retry, each client for another time. */
export const pause = () => wait(1000 + 2000 * Math.random());
