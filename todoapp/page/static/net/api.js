// The HTTP client.

const API = document.documentElement.dataset.api;

export class Refusal extends Error {}

/** It can be done later; whether it was done is not known. */
export class Outage extends Error {}

/** Return {data, headers}, without data if `etag` is still the answer's. */
export const read = (path, signal, etag) => request("GET", path, { etag, signal });

/** Make a change, if the todo is still that of `version`; return the answer. */
export async function send(method, path, body, version) {
	return (await request(method, path, { body, version })).data;
}

async function request(method, path, { body, etag, version, signal }) {
	const kind = method === "GET" ? "read" : "write";
	const headers = {
		...(body && { "Content-Type": "application/json" }),
		...(etag && { "If-None-Match": etag }),
		// The ETag of a todo is the time of its last change.
		...(version && { "If-Match": `"${version}"` }),
	};
	let response, data;
	try {
		response = await fetch(API + path, {
			method,
			headers,
			body: body && JSON.stringify(body),
			signal: AbortSignal.any([AbortSignal.timeout(40_000), ...(signal ? [signal] : [])]),
			// Even if the page is closed, it arrives.
			keepalive: kind === "write",
		});
		data = response.status === 204 ? {} : await response.json();
	} catch (error) {
		if (signal?.aborted) throw error;
	}
	const { ok, status = 503 } = response ?? {};
	const why = response ? `answered ${status}` : "cannot be reached";
	const message = data?.detail ?? `The server ${why}`;
	const passes = kind === "read" ? status > 400 && status !== 404 : status > 500;
	// What is not JSON comes from something before the service.
	const strange = !data && (ok || status === 404);
	if (passes || strange || [408, 429].includes(status)) throw fails(kind, message);
	if (outages.delete(kind)) tell();
	if (ok || status === 304) return { data, headers: response.headers };
	throw Object.assign(new Refusal(message), { status });
}

const outages = new Map();
let outageListener = () => {};

/** Call `listener(message)` when an outage begins or changes, and with "" at its end. */
export function onOutage(listener) {
	outageListener = listener;
}

function fails(kind, message) {
	outages.set(kind, message);
	tell();
	return new Outage(message);
}

function tell() {
	const [message = ""] = outages.values();
	outageListener(message);
}
