// How the list comes from the server, page by page, and stays as it is there.

import { Outage, pause, read, Refusal } from "./api.js";
import { announce, notice } from "./notices.js";
import { changed, learn, queryOf, state } from "./state.js";

const PAGE = 50;
const EVERY = 3500;
const LEFT = "?status=incomplete&count=true&sort_by=id&order=desc&limit=1";

let idsInView;
let controller = new AbortController();
let queue = Promise.resolve();
let goingOn = null;
let looking = null;
let counted = {};
let countFrom = 0;
let settled = 0;

/** Begin: show what the address says, and look for changes of `seen()`, the ids in view. */
export async function start(seen) {
	idsInView = seen;
	addEventListener("popstate", openAddress);
	document.addEventListener("visibilitychange", look);
	openAddress();
	for (;;) {
		await new Promise((resolve) => setTimeout(resolve, EVERY));
		await look();
	}
}

function openAddress() {
	const asked = Object.fromEntries(new URLSearchParams(location.search));
	const { status, search, sort_by, order } = asked;
	open({ status, search, sort_by, order });
}

/** Show another view. All that is typed into a search is one step back. */
export function show(view, typing = false) {
	open({ ...state.view, ...view });
	const address = `${location.pathname}?${queryOf(state.view)}`.replace(/\?$/, "");
	if (address === location.pathname + location.search) return;
	history[typing && history.state ? "replaceState" : "pushState"](typing || null, "", address);
}

export function more() {
	const next = state.pages.at(-1)?.next;
	if (!next || next === goingOn) return;
	goingOn = next;
	enqueue(async (signal) => {
		const query = state.pages.at(-1).next;
		if (query) state.pages = [...state.pages, await load(query, signal)];
	}).finally(() => (goingOn = null));
}

export function look() {
	if (document.hidden || !state.loaded) return null;
	looking ??= enqueue((signal) => {
		looking = null;
		return refresh(signal);
	});
	return looking;
}

async function open(view) {
	controller.abort();
	controller = new AbortController();
	const { signal } = controller;
	looking = null;
	Object.assign(state, { view, loaded: false });
	changed();
	const query = `?${queryOf({ ...view, order: view.order || "desc", limit: PAGE })}`;
	while (!state.loaded && !signal.aborted) {
		await attempt(signal, async () => {
			const page = await load(query, signal);
			Object.assign(state, { pages: [page], loaded: true });
			scrollTo(0, 0);
			if (view.search) announce(`${page.ids.length}${page.next ? " or more" : ""} found`);
		});
	}
	look();
}

// One after the other: each begins with the list that the one before has left.
function enqueue(task) {
	const { signal } = controller;
	const run = () => attempt(signal, () => task(signal));
	queue = queue.then(run, run);
	return queue;
}

async function attempt(signal, task) {
	if (signal.aborted) return;
	try {
		await task();
		changed();
	} catch (error) {
		if (signal.aborted) return;
		if (error instanceof Outage) return pause("read");
		if (!(error instanceof Refusal)) throw error;
		notice(error.message);
		open({});
	}
}

async function refresh(signal) {
	const pages = [...state.pages];
	for (const [i] of inView()) {
		if (!pages[i]) break;
		const { query: asked, etag } = pages[i];
		const page = await load(asked, signal, etag);
		if (!page) continue;
		pages[i] = page;
		if (etag && settled === state.settled) announce("Changed elsewhere");
		const query = page.next;
		if (!query) pages.length = i + 1;
		// What follows begins elsewhere now: it is read again when it comes into view.
		else if (pages[i + 1] && pages[i + 1].query !== query) {
			pages[i + 1] = { ...pages[i + 1], query, etag: null };
		}
	}
	state.pages = pages;
	settled = state.settled;
	await count(signal);
}

function inView() {
	const ids = idsInView();
	const pages = [...state.pages.entries()];
	const found = pages.filter(([, page]) => page.ids.some((id) => ids.includes(id)));
	return found.length ? found : pages.slice(0, 1);
}

async function count(signal) {
	const before = state.settled;
	const now = Date.now();
	if (now < countFrom) return;
	const answer = await load(LEFT, signal, counted.etag);
	// A million takes the database a while: no more than a twentieth of its time.
	countFrom = now + 20 * (Date.now() - now);
	// It may be without what was changed meanwhile.
	if (before !== state.settled) return;
	counted = answer ?? counted;
	state.left = counted.total;
}

async function load(query, signal, etag) {
	const answer = await read(query, signal, etag);
	if (!answer) return null;
	const { data, headers } = answer;
	data.forEach(learn);
	const link = headers.get("Link")?.match(/<(.*)>/)[1];
	return {
		query,
		etag: headers.get("ETag"),
		ids: data.map(({ id }) => id),
		next: link && new URL(link, location).search,
		total: Number(headers.get("X-Total-Count")),
	};
}
