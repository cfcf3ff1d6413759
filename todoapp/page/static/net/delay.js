// Delays between requests.

const SIGNED_OUT_DELAY_MS = 10_000;

export const delay = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Wait before a retry after an error. */
export function retryDelay({ status }) {
	// With jitter: clients must not retry all at once after an outage.
	if (status !== 401) return delay(1000 + 2000 * Math.random());
	// The user may have signed in in another tab.
	const shown = new Promise((resolve) => {
		addEventListener("visibilitychange", resolve, { once: true });
	});
	return Promise.race([shown, delay(SIGNED_OUT_DELAY_MS)]);
}
