// The list: its rows in order, the focus and the scroll position.

import { completedCount, visibleRows } from "../model/rows.js";
import { state } from "../model/state.js";
import { arrange, firstBelow } from "./chunks.js";
import { byId } from "./dom.js";
import { updateItem } from "./row.js";

const main = document.querySelector("main");
const list = byId("todos");
const completedList = byId("completed");
const itemsByKey = new Map();
// In their order on the page.
let items = [];

export function render() {
	const restoreScroll = anchorScroll();
	const { activeElement } = document;
	const index = focusedIndex();
	const focusedList = listOf(activeElement);
	const { search, status } = state.query;
	const rows = visibleRows();
	// An open editor stays where it is: moving it would take the focus away from it, and save it.
	const isSunk = ({ key, completed }) =>
		key === state.editing?.key ? completedList.contains(itemOf(key)) : completed && !search;
	const open = rows.filter((row) => !isSunk(row));
	const completed = status || state.showsCompleted ? rows.filter(isSunk) : [];
	removeAllBut([...open, ...completed]);
	const [openItems, completedItems] = [open.map(updatedItem), completed.map(updatedItem)];
	arrange(list, openItems);
	arrange(completedList, completedItems);
	items = [...openItems, ...completedItems];
	// Moving an element takes the focus away from it. The focus does not follow a completed todo.
	if (!activeElement.isConnected || listOf(activeElement) !== focusedList) focusItem(index);
	else if (index >= 0) activeElement.focus({ preventScroll: true });
	restoreScroll();
	list.ariaBusy = !state.loaded;
	main.className = state.query.sort_by ?? "";
	renderEmpty(state.loaded && !list.children.length && (!status || !completedList.children.length));
}

const listOf = (element) => element.closest("li")?.closest("[role=list]");

function renderEmpty(isEmpty) {
	const { search, status } = state.query;
	const [message, clearSearch] = byId("empty").children;
	message.textContent = isEmpty ? emptyMessage(search, status) : "";
	clearSearch.hidden = !(isEmpty && search);
	// There is nothing to filter, to search or to complete.
	const isBlank = isEmpty && !search && !status && completedCount() === 0;
	document.body.classList.toggle("blank", isBlank);
}

function emptyMessage(search, status) {
	if (search) return `Nothing matches “${search}”.`;
	if (status === "completed") return "Nothing completed yet.";
	if (status || completedCount() > 0) return "Nothing left to do.";
	// Unknown until the server has counted.
	return completedCount() === 0 ? "No todos yet. Add one!" : "";
}

export const itemOf = (key) => itemsByKey.get(key);

export const isEndNear = () => main.getBoundingClientRect().bottom < 3 * innerHeight;

/** Return the items in view, and those that follow on a large screen. */
export function itemsInView() {
	const first = items.indexOf(firstInView());
	return first < 0 ? [] : items.slice(first, first + 40);
}

export const firstInView = () =>
	firstBelow(document.querySelector("header").offsetHeight, [list, completedList]);

/** Move the focus by `step` items; without a focused item, focus the first one in view. */
export function moveFocus(step) {
	const index = focusedIndex();
	focusItem(index < 0 ? items.indexOf(firstInView()) : index + step);
}

/** Focus a row, if it is in the list. */
export const focusRow = (key) => itemsByKey.get(key)?.querySelector("input").focus();

/** Focus the nearest item to `index`, or the message of an empty list. */
function focusItem(index) {
	const item = items[Math.max(0, Math.min(index, items.length - 1))];
	(item?.querySelector("input") ?? byId("empty")).focus();
}

const focusedIndex = () => items.indexOf(document.activeElement.closest("li"));

function removeAllBut(rows) {
	const keys = new Set(rows.map(({ key }) => key));
	for (const [key, item] of itemsByKey) {
		// An open editor stays, even if the todo no longer belongs to the list.
		if (keys.has(key) || item.matches(".editing")) continue;
		item.remove();
		itemsByKey.delete(key);
	}
}

function updatedItem(row) {
	const item = itemOf(row.key) ?? byId("row").content.cloneNode(true).firstElementChild;
	itemsByKey.set(row.key, item);
	updateItem(item, row);
	return item;
}

/**
 * Return a function that scrolls the open editor, or else what is being read, back into place.
 *
 * Not all browsers have scroll anchoring, and none has it at the top of the page.
 */
function anchorScroll() {
	const isRead = scrollY || main.matches(":hover");
	const inView = isRead ? itemsInView() : [];
	const edited = itemOf(state.editing?.key);
	const candidates = (edited ? [edited, ...inView] : inView).map((item) => ({
		item,
		top: topOf(item),
		previous: item.previousSibling,
		next: item.nextSibling,
	}));
	// An item that has itself moved in the list is no anchor.
	const isAnchor = ({ item, previous, next }) =>
		item.isConnected && (item.previousSibling === previous || item.nextSibling === next);
	return () => {
		const anchor = candidates.find(isAnchor);
		const distance = anchor ? topOf(anchor.item) - anchor.top : 0;
		if (!distance) return;
		// The page may be too short to scroll that far.
		document.body.style.minHeight = `${scrollY + distance + innerHeight}px`;
		scrollBy({ top: distance, behavior: "instant" });
	};
}

const topOf = (item) => item.getBoundingClientRect().top;

// The extra height that anchorScroll() has added is not needed any more.
addEventListener("scroll", () => {
	if (!scrollY) document.body.style.minHeight = "";
	document.body.classList.toggle("scrolled", scrollY > 0);
});
