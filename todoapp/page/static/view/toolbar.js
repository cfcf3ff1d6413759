// Filter, search, sort order and bulk changes.

import { completedCount, remainingCount } from "../model/rows.js";
import { state } from "../model/state.js";
import { local, persist } from "../model/storage.js";
import { navigate, showCompleted } from "../net/sync.js";
import { clearCompleted, completeAll } from "./actions.js";
import { byId } from "./dom.js";

const DEBOUNCE_MS = 150;

const filters = document.querySelectorAll("#filters button");
const search = byId("search");
const sort = byId("sort");

let searchTimer;

export function start() {
	for (const filter of filters) filter.onclick = () => navigate({ status: filter.value });
	search.oninput = () => {
		clearTimeout(searchTimer);
		searchTimer = setTimeout(runSearch, DEBOUNCE_MS);
	};
	// It may have been typed before this script was loaded.
	const { searchParams } = new URL(location);
	if (search.value && search.value !== searchParams.get("search")) search.oninput();
	sort.onchange = () => {
		const [sort_by, order] = sort.value.split(" ");
		navigate({ sort_by, order });
	};
	byId("clear-search").onclick = () => {
		navigate({ search: "" });
		search.focus();
	};
	state.showsCompleted = local?.showCompleted === "on";
	byId("show-completed").onclick = () => {
		showCompleted(!state.showsCompleted);
		persist(local, "showCompleted", state.showsCompleted ? "on" : "");
	};
	byId("complete-all").onclick = completeAll;
	byId("clear-completed").onclick = clearCompleted;
}

/** Return what screen readers say about the first page of the list. */
export function summary(count, hasMore) {
	const { search, status } = state.query;
	const kind = search
		? "found"
		: { completed: "completed", incomplete: "active" }[status] ?? "left";
	return `${count}${hasMore ? " or more" : ""} ${kind}`;
}

function runSearch() {
	searchTimer = null;
	navigate({ search: search.value }, true);
}

export function render() {
	const { query } = state;
	const remaining = remainingCount();
	for (const filter of filters) filter.ariaPressed = filter.value === (query.status ?? "");
	// Do not overwrite what is being typed.
	if (!searchTimer) search.value = query.search ?? "";
	sort.value = `${query.sort_by || "id"} ${query.order || "desc"}`;
	// NaN until the server has counted.
	const count = remaining >= 0 ? remaining.toLocaleString("en") : "";
	byId("remaining").textContent = count && `${count} left`;
	document.title = remaining > 0 ? `(${count}) Todos` : "Todos";
	// They would also change todos that the search hides.
	byId("complete-all").disabled = Boolean(query.search || !remaining);
	renderCompleted(query);
}

function renderCompleted({ search, status }) {
	const completed = completedCount();
	const count = completed.toLocaleString("en");
	const isShown = completed > 0 && !search && status !== "incomplete";
	byId("completed-section").hidden = !isShown;
	byId("clear-completed").textContent = `Clear ${count} completed`;
	const toggle = byId("show-completed");
	toggle.textContent = `Completed (${count})`;
	toggle.ariaExpanded = Boolean(status || state.showsCompleted);
	// The filter shows nothing else.
	toggle.disabled = Boolean(status);
}
