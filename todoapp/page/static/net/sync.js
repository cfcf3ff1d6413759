// Loads the list page by page, and polls the server for changes of other clients. The first page is
// kept, and shown while the server is unavailable.

import { markSeen, scheduleRender, state, upsertTodo } from "../model/state.js";
import { local, persist, restore } from "../model/storage.js";
import { delay, read, RequestError, retryDelay, timeOf, UnavailableError } from "./api.js";

const POLL_INTERVAL_MS = 3500;
const PAGE_SIZE = 50;
const MAX_NEW_PAGES = 3;
const FIRST_PATH = `?status=incomplete&order=desc&limit=${PAGE_SIZE}`;

const storage = local ?? {};
const LAST_PAGE = "last-page";

let callbacks;
// Of the requests for the current query.
let controller;
let queue = Promise.resolve();
let loadingMore = false;
let pendingRefresh = null;
// By the names in the state.
const counts = {
	remaining: { path: "?status=incomplete&count=true&order=desc&limit=1", nextAt: 0 },
	completed: { path: "?status=completed&count=true&order=desc&limit=1", nextAt: 0 },
};
let confirmedAtLastRefresh = 0;

/**
 * Load the list that the URL describes, and poll for changes.
 *
 * The callbacks: `idsInView()` returns the IDs of the todos to refresh; `onQueried(count, hasMore)`
 * follows a change of the query, `onChangedElsewhere()` changes of other clients, and
 * `onRejected(message)` a query that the server rejects.
 */
export async function start(viewCallbacks) {
	callbacks = viewCallbacks;
	addEventListener("popstate", openUrl);
	addEventListener("visibilitychange", refresh);
	openUrl();
	for (;;) {
		await delay(POLL_INTERVAL_MS);
		await refresh();
	}
}

function openUrl() {
	const { status, search, sort_by, order } = Object.fromEntries(new URL(location).searchParams);
	open({ status, search, sort_by, order });
}

/**
 * Change a part of the query, and the URL with it.
 *
 * All that is typed into a search becomes one entry in the browser's history.
 */
export function navigate(changes, typing = false) {
	open({ ...state.query, ...changes });
	const url = `${location.pathname}?${queryString(state.query)}`.replace(/\?$/, "");
	if (url === location.pathname + location.search) return;
	if (typing && history.state) history.replaceState(true, "", url);
	else history.pushState(typing || null, "", url);
}

/** Show or hide the completed todos of a list that contains both. */
export function showCompleted(isShown) {
	state.showsCompleted = isShown;
	enqueue(() => {
		state.pages = state.pages.filter(({ path }) => !(isMixed() && isCompletedPart(path)));
		const last = state.pages.at(-1);
		if (last && (!last.next || isCompletedPart(last.next))) last.next = partAfter(last.path);
	});
}

// A list of both has two parts: first the incomplete todos, then the completed ones. A search has
// one: its results would be hidden.
const isMixed = () => !state.query.status && !state.query.search;

const isCompletedPart = (path) => path.includes("status=completed");

const partAfter = (path) =>
	isMixed() && state.showsCompleted && !isCompletedPart(path) ? firstPath("completed") : null;

function firstPath(status) {
	const { query } = state;
	return `?${queryString({ ...query, status, order: query.order || "desc", limit: PAGE_SIZE })}`;
}

const queryString = (query) =>
	new URLSearchParams(Object.entries(query).filter(([, value]) => value)).toString();

export function loadMore() {
	if (loadingMore || !state.loaded || !state.pages.at(-1).next) return;
	loadingMore = true;
	enqueue(async (signal) => {
		const { next } = state.pages.at(-1);
		if (next) state.pages.push(await load(next, signal));
	}).finally(() => {
		loadingMore = false;
	});
}

/** Fetch what other clients have changed. Calls before the refresh begins share one. */
export function refresh() {
	if (document.hidden || !state.loaded) return null;
	pendingRefresh ??= enqueue((signal) => {
		pendingRefresh = null;
		return refreshPages(signal);
	});
	return pendingRefresh;
}

async function open(query) {
	const isFirst = !controller;
	// A response to the previous query is of no use any more.
	controller?.abort();
	controller = new AbortController();
	const { signal } = controller;
	pendingRefresh = null;
	Object.assign(state, { query, loaded: false });
	scheduleRender();
	const path = firstPath(isMixed() ? "incomplete" : query.status);
	while (!state.loaded && !signal.aborted) {
		await attempt(signal, async () => {
			const page = await loadFirst(path, signal);
			Object.assign(state, { pages: [page], loaded: true });
			scrollTo(0, 0);
			const hasMore = page.next && page.next !== firstPath("completed");
			if (!isFirst || query.search) callbacks.onQueried(page.ids.length, hasMore);
		});
	}
	refresh();
}

async function loadFirst(path, signal) {
	try {
		return await load(path, signal);
	} catch (error) {
		if (!(error instanceof UnavailableError) || error.status === 401) throw error;
		const kept = restore(storage, LAST_PAGE);
		if (kept?.page?.path !== path || !isComplete(kept)) throw error;
		kept.todos.forEach(upsertTodo);
		// Without its ETag, it is loaded again as soon as the server responds.
		return { ...kept.page, etag: null };
	}
}

// It may be damaged.
const isComplete = ({ page, todos }) =>
	Array.isArray(page.ids) && Array.isArray(todos) &&
	todos.every((todo) => typeof todo?.description === "string");

// One at a time: each task starts from the pages that the previous one has left.
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
		scheduleRender();
	} catch (error) {
		if (signal.aborted) return;
		if (error.status === 401) forgetLastPage();
		if (error instanceof UnavailableError) return retryDelay(error);
		if (!(error instanceof RequestError)) throw error;
		callbacks.onRejected(error.message);
		open({});
	}
}

async function refreshPages(signal) {
	const pages = [...state.pages];
	const idsInView = callbacks.idsInView();
	const isInView = ({ ids }) => ids.some((id) => idsInView.includes(id));
	// New todos can push those in view to later pages. After an import, the rest waits for scrolling.
	const end = pages.length + MAX_NEW_PAGES;
	for (let i = 0; i < Math.min(pages.length, end); i++) {
		// A todo that is completed or reopened moves to the first page of the other part.
		const isFirst = i === 0 || pages[i].path === firstPath("completed");
		if (!isFirst && !isInView(pages[i])) continue;
		const previous = pages[i];
		const { confirmed } = state;
		const page = await load(previous.path, signal, previous.etag);
		if (!page) continue;
		// The page may lack a change that was confirmed meanwhile, or contain a todo that is being
		// created and would be shown twice. The next refresh is complete.
		if (confirmed !== state.confirmed || state.changes.some(isBeingCreated)) return;
		pages[i] = page;
		if (previous.etag && confirmedAtLastRefresh === state.confirmed) {
			callbacks.onChangedElsewhere();
		}
		if (!page.next) pages.length = i + 1;
		else if (page.next !== pages[i + 1]?.path) {
			pages[i + 1] = followingPage(page, previous, pages[i + 1]);
		}
	}
	state.pages = pages;
	confirmedAtLastRefresh = state.confirmed;
	for (const name of Object.keys(counts)) await refreshCount(name, signal);
}

const isBeingCreated = ({ kind, sent }) => kind === "create" && sent;

// The following page now begins elsewhere: it gets the todos that this page has lost, and no ETag,
// so that it is loaded once it is in view.
function followingPage(page, previous, known = { ids: [], next: page.next }) {
	const last = previous.ids.findLastIndex((id) => page.ids.includes(id));
	const ids = [...previous.ids.slice(last + 1), ...known.ids];
	return { ...known, path: page.next, etag: null, ids };
}

async function refreshCount(name, signal) {
	const { confirmed } = state;
	const count = counts[name];
	const startedAt = performance.now();
	if (startedAt < count.nextAt) return;
	const page = await load(count.path, signal, count.etag);
	// Counting millions of todos is slow: spend at most a twentieth of the time on it.
	count.nextAt = startedAt + 20 * (performance.now() - startedAt);
	// The count may lack a change that was confirmed meanwhile.
	if (confirmed !== state.confirmed) return;
	if (page) Object.assign(count, { etag: page.etag, total: page.total });
	state[name] = count.total;
}

/** Load a page, or return null if `etag` is still current. */
async function load(path, signal, etag) {
	const { data, headers } = await read(path, signal, etag);
	markSeen(timeOf(headers));
	if (!data) return null;
	data.forEach(upsertTodo);
	const link = headers.get("Link")?.match(/<(.*)>/)[1];
	const page = {
		path,
		etag: headers.get("ETag"),
		ids: data.map(({ id }) => id),
		next: link ? new URL(link, location).search : partAfter(path),
		total: Number(headers.get("X-Total-Count")),
	};
	if (path === FIRST_PATH) persist(storage, LAST_PAGE, JSON.stringify({ page, todos: data }));
	return page;
}

/** Forget the kept page when the user signs out. */
export function forgetLastPage() {
	persist(storage, LAST_PAGE);
}
