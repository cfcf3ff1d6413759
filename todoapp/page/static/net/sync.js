// The list as the server has it, page by page.

import { changed, learn, state } from "../model/state.js";
import { Outage, read, Refusal } from "./api.js";
import { pause, wait } from "./delay.js";

const LEFT = "?status=incomplete&count=true&order=desc&limit=1";

const queryOf = (query) => new URLSearchParams(Object.entries(query).filter(([, value]) => value));

let view;
let controller = new AbortController();
let queue = Promise.resolve();
let reading = false;
let looking = null;
let counted = {};
let countFrom = 0;
let settled = 0;

/**
 * Show what the address says, and look for changes.
 *
 * `idsInView()` returns the ids whose pages are read again. `onFound(count, hasMore)` is called
 * for the results of a search, `onChangedElsewhere()` for changes of other clients, and
 * `onRejected(message)` for a query that the server rejects.
 */
export async function start(callbacks) {
	view = callbacks;
	addEventListener("popstate", openAddress);
	addEventListener("visibilitychange", look);
	openAddress();
	for (;;) {
		await wait(3500);
		await look();
	}
}

function openAddress() {
	const { status, search, sort_by, order } = Object.fromEntries(new URL(location).searchParams);
	open({ status, search, sort_by, order });
}

/** Show another view. All that is typed into a search is one step back. */
export function show(query, typing = false) {
	open({ ...state.view, ...query });
	const address = `${location.pathname}?${queryOf(state.view)}`.replace(/\?$/, "");
	if (address === location.pathname + location.search) return;
	history[typing && history.state ? "replaceState" : "pushState"](typing || null, "", address);
}

export function more() {
	if (reading || !state.loaded || !state.pages.at(-1).next) return;
	reading = true;
	enqueue(async (signal) => {
		const { next } = state.pages.at(-1);
		if (next) state.pages.push(await load(next, signal));
	}).finally(() => (reading = false));
}

export function look() {
	if (document.hidden || !state.loaded) return null;
	looking ??= enqueue((signal) => {
		looking = null;
		return refresh(signal);
	});
	return looking;
}

async function open(query) {
	controller.abort();
	controller = new AbortController();
	const { signal } = controller;
	looking = null;
	Object.assign(state, { view: query, loaded: false });
	changed();
	const first = `?${queryOf({ ...query, order: query.order || "desc", limit: 50 })}`;
	while (!state.loaded && !signal.aborted) {
		await attempt(signal, async () => {
			const page = await load(first, signal);
			Object.assign(state, { pages: [page], loaded: true });
			scrollTo(0, 0);
			if (query.search) view.onFound(page.ids.length, Boolean(page.next));
		});
	}
	look();
}

// One after the other: each goes on from the list of the one before.
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
		if (error instanceof Outage) return pause();
		if (!(error instanceof Refusal)) throw error;
		view.onRejected(error.message);
		open({});
	}
}

async function refresh(signal) {
	const pages = [...state.pages];
	const seen = view.idsInView();
	const isSeen = ({ ids }) => ids.some((id) => seen.includes(id));
	// From what is new to what is seen, but not through all of an import.
	const end = pages.length + 3;
	for (let i = 0; i < Math.min(pages.length, end); i++) {
		if (i && !isSeen(pages[i])) continue;
		const before = pages[i];
		const page = await load(before.query, signal, before.etag);
		if (!page) continue;
		pages[i] = page;
		if (before.etag && settled === state.settled) view.onChangedElsewhere();
		if (!page.next) pages.length = i + 1;
		else if (page.next !== pages[i + 1]?.query) pages[i + 1] = after(page, before, pages[i + 1]);
	}
	state.pages = pages;
	settled = state.settled;
	await count(signal);
}

// What follows begins elsewhere now, with what this page has lost: it is read again once in view.
function after(page, before, known = { ids: [], next: page.next }) {
	const last = before.ids.findLastIndex((id) => page.ids.includes(id));
	const ids = [...before.ids.slice(last + 1), ...known.ids];
	return { ...known, query: page.next, etag: null, ids };
}

async function count(signal) {
	const before = state.settled;
	const now = performance.now();
	if (now < countFrom) return;
	const answer = await load(LEFT, signal, counted.etag);
	// No more than a twentieth of the time, if there are millions.
	countFrom = now + 20 * (performance.now() - now);
	// It may be without what was changed meanwhile.
	if (before !== state.settled) return;
	counted = answer ?? counted;
	state.left = counted.total;
}

async function load(query, signal, etag) {
	const { data, headers } = await read(query, signal, etag);
	if (!data) return null;
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
