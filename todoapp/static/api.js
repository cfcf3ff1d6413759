// The HTTP client, and whether there is somebody at the other end.

import { banner } from "./notices.js";

const API = document.documentElement.dataset.api;
const TIMEOUT = 40_000;

export class Refusal extends Error {}

// It can be done later. `certain`: nothing was changed.
export class Outage extends Error {}

/** Return {data, headers}; null if `etag` is still the answer's. */
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
			signal: AbortSignal.any([AbortSignal.timeout(TIMEOUT), ...(signal ? [signal] : [])]),
			// Even if the page is closed, it arrives.
			keepalive: kind === "write",
		});
		data = [204, 304].includes(response.status) ? null : await response.json();
	} catch (error) {
		if (signal?.aborted) throw error;
		throw fails(kind, "The server cannot be reached");
	}
	const { ok, status } = response;
	const message = data?.detail ?? `The server answered ${status}`;
	if (status > 500 || [408, 429, kind === "read" && 500].includes(status)) {
		throw fails(kind, message, status === 503 && !message.includes("may have been made"));
	}
	works(kind);
	if (status === 304) return null;
	if (ok) return { data, headers: response.headers };
	throw Object.assign(new Refusal(message), { status });
}

const outages = new Map();
let hopes = [];

/** Wait a while, longer each time, or until there is hope. */
export function pause(kind) {
	const longest = Math.min(8000, 500 * 2 ** (outages.get(kind)?.tries ?? 1));
	return new Promise((resolve) => {
		hopes.push(resolve);
		// Not all pages at once.
		setTimeout(resolve, longest * (0.5 + Math.random() / 2));
	});
}

function fails(kind, message, certain = false) {
	outages.set(kind, { message, tries: (outages.get(kind)?.tries ?? 0) + 1 });
	tell();
	return Object.assign(new Outage(message), { certain });
}

function works(kind) {
	if (!outages.delete(kind)) return;
	tell();
	hope();
}

function tell() {
	const [outage] = outages.values();
	banner(outage ? `${outage.message}. Trying again; your changes are kept.` : "");
}

function hope() {
	hopes.forEach((resolve) => resolve());
	hopes = [];
}

addEventListener("online", hope);
