// The first page of the list as it was last loaded: the page shows it if the server is unavailable.

import { local, persist, restore } from "../model/storage.js";

const NAME = "last-page";
const storage = local ?? {};

export function keepLastPage(page, todos) {
	persist(storage, NAME, JSON.stringify({ page, todos }));
}

/** Return {page, todos}, or null if the last page is not that of `path`. */
export function lastPage(path) {
	const kept = restore(storage, NAME);
	return kept?.page?.path === path && Array.isArray(kept.todos) ? kept : null;
}

/** Forget the page when the user signs out. */
export function forgetLastPage() {
	persist(storage, NAME);
}
