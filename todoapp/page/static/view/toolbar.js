// Which todos are shown, in which order, and what can be done to all.

import { left, state } from "../model/state.js";
import { show } from "../net/sync.js";
import { clear, complete } from "./actions.js";
import { byId } from "./dom.js";

const filters = document.querySelectorAll("#filters button");
const search = byId("search");
const sort = byId("sort");

let typed;

export function start() {
	for (const filter of filters) filter.onclick = () => show({ status: filter.value });
	search.oninput = () => {
		clearTimeout(typed);
		typed = setTimeout(find, 150);
	};
	sort.onchange = () => {
		const [sort_by, order] = sort.value.split(" ");
		show({ sort_by, order });
	};
	byId("complete").onclick = complete;
	byId("clear").onclick = clear;
}

function find() {
	typed = null;
	show({ search: search.value }, true);
}

export function render() {
	const { view } = state;
	for (const filter of filters) filter.ariaPressed = filter.value === (view.status ?? "");
	if (!typed) search.value = view.search ?? "";
	sort.value = `${view.sort_by || "id"} ${view.order || "desc"}`;
	byId("left").textContent = left() >= 0 ? `${left().toLocaleString("en")} left` : "";
	// They would change what is not shown.
	byId("complete").disabled = byId("clear").disabled = Boolean(view.search);
}
