// How the list comes from the server, page by page, and stays as it is there.

import { Outage, pause, read, Refusal } from "./api.js";
import { announce, notice } from "./notices.js";
import { changed, learn, queryOf, state } from "./state.js";

const PAGE = 50;
const EVERY = 3500;
const LEFT = "?status=incomplete&count=true&limit=1";

let inView;
let controller = new AbortController();
let queue = Promise.resolve();
let goingOn = null;
let looking = null;
let seen = {};
let counted = {};

/** Begin: show what the address says, and look for changes. `firstInView()`: from where on. */
export async function start(firstInView) {
	inView = firstInView;
	addEventListener("popstate", openAddress);
	document.addEventListener("visibilitychange", look);
	openAddress();
	for (;;) {
		await new Promise((resolve) => setTimeout(resolve, EVERY));
		await look();
	}
}

function openAddress() {
	const asked = new URLSearchParams(location.search);
	const names = ["status", "search", "sort_by", "order"];
	open(Object.fromEntries(names.map((name) => [name, asked.get(name) ?? ""])));
}

/** Show another view. All that is typed into a search is one step back. */
export function show(view, typing = false) {
	open({ ...state.view, ...view });
	const address = `${location.pathname}?${queryOf(state.view)}`.replace(/\?$/, "");
	history[typing && history.state ? "replaceState" : "pushState"](typing || null, "", address);
}

/** Load the next page, if there is one. */
export function more() {
	const { next } = state;
	if (!next || next === goingOn) return;
	goingOn = next;
	enqueue(async (signal) => {
		const page = await load(state.next, signal);
		state.ids = [...new Set([...state.ids, ...page.ids])];
		state.next = page.next;
	}).finally(() => (goingOn = null));
}

/** Look for changes that somebody would see. */
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
	while (!state.loaded && !signal.aborted) {
		await attempt(signal, async () => {
			seen = await load(query({ limit: PAGE }), signal);
			const { ids, next } = seen;
			Object.assign(state, { ids, next, loaded: true });
			scrollTo(0, 0);
			if (view.search) announce(`${ids.length}${next ? " or more" : ""} found`);
		});
	}
	look();
}

const query = (more) => `?${queryOf({ ...state.view, order: state.view.order || "desc", ...more })}`;

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
		// The address asks for what there is not.
		notice(error.message);
		open({});
	}
}

// Of what is in view, and a page before and after.
async function refresh(signal) {
	const counting = count(signal);
	const offset = Math.max(0, inView() - PAGE);
	const limit = Math.min(3 * PAGE, Math.max(PAGE, state.ids.length - offset));
	const asked = query({ limit, offset });
	const page = await load(asked, signal, seen.query === asked ? seen.etag : null);
	await counting;
	if (!page) return;
	seen = page;
	const { ids, next, news } = page;
	if (news) announce("Changed elsewhere");
	// What has been pushed out at the end is still behind it.
	const last = ids.findLast((id) => state.ids.includes(id));
	const end = next ? state.ids.indexOf(last) + 1 || offset : Infinity;
	const [before, after] = [state.ids.slice(0, offset), state.ids.slice(end)];
	const others = (id) => !ids.includes(id);
	state.ids = [...before.filter(others), ...ids, ...after.filter(others)];
	if (!after.length) state.next = next;
}

async function count(signal) {
	const { settled } = state;
	const answer = await load(LEFT, signal, counted.etag);
	// It may be without what was changed meanwhile.
	if (settled !== state.settled) return;
	counted = answer ?? counted;
	state.left = counted.total;
}

async function load(asked, signal, etag) {
	const answer = await read(asked, signal, etag);
	if (!answer) return null;
	const { data, headers } = answer;
	const link = headers.get("Link")?.match(/<(.*)>/)[1];
	return {
		query: asked,
		etag: headers.get("ETag"),
		ids: data.map(({ id }) => id),
		next: link && new URL(link, location).search,
		total: Number(headers.get("X-Total-Count")),
		news: data.filter(learn).length,
	};
}
