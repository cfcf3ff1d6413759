// The list: its rows in order, and what one reads stays where it is.

import { rows, state } from "../model/state.js";
import { byId } from "./dom.js";
import { update } from "./row.js";

const list = byId("todos");
const items = list.children;
const shown = new Map();

export function render() {
	const place = anchor();
	const { activeElement } = document;
	const index = focused();
	arrange(rows());
	if (!activeElement.isConnected) focusAt(index);
	else if (index >= 0) activeElement.focus({ preventScroll: true });
	place();
	list.ariaBusy = !state.loaded;
	const { search, status } = state.view;
	const nothing = search || status ? "Nothing found." : "No todos yet. Add one!";
	byId("empty").textContent = state.loaded && !items.length ? nothing : "";
}

export const itemOf = (key) => shown.get(key);

export const isEndNear = () => list.getBoundingClientRect().bottom < 3 * innerHeight;

/** Return the ids of the todos in view, and of some after them. */
export function idsInView() {
	const first = firstInView();
	return [...items].slice(first, first + 40).map(({ row }) => row.id);
}

function firstInView() {
	const { offsetHeight } = document.querySelector("header");
	let [low, high] = [0, items.length];
	while (low < high) {
		const middle = (low + high) >> 1;
		if (items[middle].getBoundingClientRect().bottom > offsetHeight) high = middle;
		else low = middle + 1;
	}
	return low;
}

/** Focus the item `step` after the one with the focus, or else the first in view. */
export function move(step) {
	const index = focused();
	focusAt(index < 0 ? firstInView() : index + step);
}

function focusAt(index) {
	const item = items[Math.max(0, Math.min(index, items.length - 1))];
	(item?.querySelector("input") ?? byId("description")).focus();
}

function arrange(wanted) {
	const keys = new Set(wanted.map(({ key }) => key));
	for (const [key, item] of shown) {
		// What is being typed stays.
		if (keys.has(key) || item.matches(".editing")) continue;
		item.remove();
		shown.delete(key);
	}
	let next = items[0];
	for (const row of wanted) {
		const item = shown.get(row.key) ?? byId("row").content.cloneNode(true).firstElementChild;
		shown.set(row.key, item);
		update(item, row);
		if (next && !keys.has(next.row.key)) next = next.nextElementSibling;
		if (item === next) next = item.nextElementSibling;
		else list.insertBefore(item, next ?? null);
	}
}

// Return a function that puts what is edited, or else read, back to where it was.
function anchor() {
	const first = firstInView();
	const read = scrollY || list.matches(":hover") ? [...items].slice(first, first + 30) : [];
	const candidates = [...list.querySelectorAll(".editing"), ...read].map((item) => [
		item,
		top(item),
		item.previousSibling,
		item.nextSibling,
	]);
	// Not what has itself gone elsewhere.
	const stays = ([item, , previous, next]) =>
		item.isConnected && (item.previousSibling === previous || item.nextSibling === next);
	return () => {
		const [item, was] = candidates.find(stays) ?? [];
		const moved = item ? top(item) - was : 0;
		if (!moved) return;
		// There may be too little below.
		document.body.style.minHeight = `${scrollY + moved + innerHeight}px`;
		scrollBy({ top: moved, behavior: "instant" });
	};
}

const top = (item) => item.getBoundingClientRect().top;
const focused = () => [...items].indexOf(document.activeElement.closest("li"));

addEventListener("scroll", () => {
	if (!scrollY) document.body.style.minHeight = "";
});
