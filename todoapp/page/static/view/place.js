// The place in the list, kept for Back and for a reload.

import { state } from "../model/state.js";
import { persist, session } from "../model/storage.js";
import { loadMore } from "../net/sync.js";
import * as list from "./list.js";

// Todos that were added meanwhile push the place down.
const MAX_NEW_PAGES = 3;
// What is further down would take too long to load.
const MAX_PAGES = 20;

let wanted = null;

export function start() {
	// The browser would scroll before the list has been loaded.
	history.scrollRestoration = "manual";
	recall();
	// Before net/sync.js opens the list of this URL.
	addEventListener("popstate", recall);
	addEventListener("scroll", remember);
	addEventListener("pagehide", remember);
}

// The item's own getBoundingClientRect() would include the motion of a todo that has just appeared.
const topOf = ({ offsetParent, offsetTop }) => offsetTop + offsetParent.getBoundingClientRect().top;

const storageKey = () => `place${location.search}`;

function remember() {
	if (!state.loaded || wanted) return;
	const first = list.firstInView();
	const place = first && scrollY ? [first.row.id, topOf(first), state.pages.length] : [];
	persist(session, storageKey(), place.join(" "));
}

function recall() {
	const [id, top, pages] = (session[storageKey()] ?? "").split(" ").map(Number);
	wanted = id ? { id, top, pages: Math.min(pages + MAX_NEW_PAGES, MAX_PAGES) } : null;
}

/** Return to the remembered place once it is loaded; remember the place from then on. */
export function update() {
	if (!wanted) return remember();
	const { id, top, pages } = wanted;
	const item = list.itemOf(state.rowKeys.get(id) ?? String(id));
	if (item) scrollBy({ top: topOf(item) - top, behavior: "instant" });
	else if (state.pages.length < pages && state.pages.at(-1).next) return loadMore();
	wanted = null;
}
