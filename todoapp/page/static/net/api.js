// The HTTP client.

const API = document.documentElement.dataset.api;
const TIMEOUT_MS = 40_000;
const SIGNED_OUT_DELAY_MS = 10_000;

class ApiError extends Error {
	constructor(message, status) {
		super(message);
		this.status = status;
	}
}

/** The server rejected the request: a retry would not help. */
export class RequestError extends ApiError {}

/**
 * The server is unavailable: retry later. A change may have been made all the same.
 *
 * There is no status if there was no response. With status 401, the user has to sign in first.
 */
export class UnavailableError extends ApiError {}

/** Return {data, headers}; `data` is undefined if `etag` is still current. */
export const read = (path, signal, etag) => request("GET", path, { etag, signal });

/**
 * Make a change; return {data, headers}.
 *
 * With `version`, only if the todo still has it. With `key`, only once, however often it is sent.
 * With `keepalive`, also if the page is closed meanwhile.
 */
export const send = (method, path, { body, keepalive = true, key, version } = {}) =>
	request(method, path, { body, keepalive, key, version });

/** Return the time of a response by the server's clock, or "". `Date` has whole seconds. */
export function timeOf(headers, microseconds = "000000") {
	const time = Date.parse(headers.get("Date"));
	return time ? new Date(time).toISOString().replace("000Z", `${microseconds}Z`) : "";
}

async function request(method, path, { body, etag, keepalive, key, version, signal }) {
	const kind = method === "GET" ? "read" : "write";
	const headers = {
		...(body && { "Content-Type": "application/json" }),
		...(etag && { "If-None-Match": etag }),
		...(key && { "Idempotency-Key": key }),
		// The ETag of a todo is its updated_at.
		...(version && { "If-Match": `"${version}"` }),
	};
	let response, data;
	try {
		response = await fetch(API + path, {
			method,
			headers,
			body: body && JSON.stringify(body),
			signal: AbortSignal.any([AbortSignal.timeout(TIMEOUT_MS), ...(signal ? [signal] : [])]),
			keepalive,
		});
		data = response.status === 204 ? {} : await response.json();
	} catch (error) {
		if (signal?.aborted) throw error;
	}
	const { ok, status = 503 } = response ?? {};
	const message = data?.detail ?? describe(response);
	if (isTemporary(kind, status, data, ok)) {
		const error = new UnavailableError(message, response?.status);
		outages.set(kind, error);
		notifyListener();
		throw error;
	}
	reportRecovery(kind);
	if (ok || status === 304) return { data, headers: response.headers };
	throw new RequestError(message, status);
}

function describe(response) {
	if (response) return `The server responded with status ${response.status}`;
	return navigator.onLine ? "The server can't be reached" : "You're offline";
}

function isTemporary(kind, status, data, ok) {
	if ([401, 408, 429].includes(status)) return true;
	// A response that is not JSON comes from a proxy.
	if (!data && (ok || status === 404)) return true;
	// Without a list there is no page: retry whatever a changed query would not help. A change that
	// causes an unexpected error (500) would cause it again, and hold up the others.
	return kind === "read" ? status > 400 && status !== 404 : status > 500;
}

// The errors of current outages. Reads can succeed while writes fail, and vice versa.
const outages = new Map();
let outageListener;

/**
 * Call `listener(message, isSignedOut)` when an outage begins or goes on, and with "" when it ends.
 */
export function onOutage(listener) {
	outageListener = listener;
}

/** End an outage of reads or writes. */
export function reportRecovery(kind) {
	if (outages.delete(kind)) notifyListener();
}

function notifyListener() {
	const errors = [...outages.values()];
	const isSignedOut = errors.some(({ status }) => status === 401);
	outageListener(errors[0]?.message ?? "", isSignedOut);
}

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
