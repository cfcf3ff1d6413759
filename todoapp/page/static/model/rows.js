// Optimistic updates: what the list shows is the server's state with the pending changes applied.

import { state } from "./state.js";

/** Return the rows of the list: [{key, id, description, completed, version}]. */
export function visibleRows() {
	const { changes, pages, query } = state;
	const ids = new Set(pages.flatMap((page) => page.ids));
	const changesByKey = Map.groupBy(changes, ({ key }) => key);
	// A bulk change (without a key) can affect any row.
	const changesOf = ({ key }) =>
		changesByKey.has(undefined) ? changes : changesByKey.get(key) ?? [];
	const matches = ({ completed }) => !query.status || completed === (query.status === "completed");
	const place = placeOfNewTodos();
	const newRows = changes.filter(({ kind }) => kind === "create").map(({ key }) => ({ key }));
	const rows = [...ids].map(rowOf);
	if (place === "start") rows.unshift(...newRows.reverse());
	if (place === "end") rows.push(...newRows);
	const visible = rows
		.map((row) => row && changesOf(row).reduce(applyChange, row))
		.filter((row) => row && matches(row));
	return isSortedById() ? visible.sort(byId) : visible;
}

// A todo that has been completed or reopened was loaded with the others.
const isSortedById = () => (state.query.sort_by || "id") === "id";

function byId(a, b) {
	const ascending = (a.id ?? Infinity) - (b.id ?? Infinity) || 0;
	return state.query.order === "asc" ? ascending : -ascending;
}

/** Return where the list shows new todos, "start" or "end", or "" if only the server can tell. */
export function placeOfNewTodos() {
	const { pages, query: { search, sort_by, order } } = state;
	if (search || sort_by === "description") return "";
	if (order !== "asc") return "start";
	return pages.at(-1)?.next ? "" : "end";
}

/** Return a row with the pending changes applied, or a falsy value if the todo was deleted. */
export function currentRow(key) {
	const created = [...state.rowKeys].find(([, rowKey]) => rowKey === key);
	const id = created ? created[0] : Number(key);
	const row = state.changes.reduce(applyChange, id ? rowOf(id) : { key });
	return row?.description && row;
}

/** Return the current rows of the todos that have pending changes. */
export const changedRows = () =>
	[...new Set(state.changes.map(({ key }) => key))].map(currentRow).filter(Boolean);

const rowsByTodo = new WeakMap();

// A todo that has not changed has the same row again: view/row.js has nothing to update.
function rowOf(id) {
	const todo = state.todos.get(id);
	if (!todo) return null;
	const key = state.rowKeys.get(id) ?? String(id);
	let row = rowsByTodo.get(todo);
	if (row?.key !== key) {
		row = { ...todo, key, version: todo.updated_at };
		rowsByTodo.set(todo, row);
	}
	return row;
}

function applyChange(row, { before, kind, key, fields }) {
	if (key) {
		if (key !== row?.key) return row;
		return kind === "delete" ? null : { ...row, ...fields };
	}
	// A row without a version has not been created yet.
	if (!(row?.version <= before)) return row;
	if (kind === "complete") return { ...row, ...fields };
	return row.completed ? null : row;
}

/** Return the number of incomplete todos once the pending changes are made. */
export function remainingCount() {
	const { changes, remaining } = state;
	const complete = changes.findLast(({ kind }) => kind === "complete");
	if (complete) return rowsAfter(complete).filter(({ completed }) => !completed).length;
	return changes.reduce((count, { remainingDelta = 0 }) => count + remainingDelta, remaining);
}

/** Return the number of completed todos once the pending changes are made. */
export function completedCount() {
	const { changes, completed, remaining } = state;
	const clear = changes.findLast(({ kind }) => kind === "clear");
	if (clear) return rowsAfter(clear).filter((row) => row.completed).length;
	const created = changes.filter(({ kind }) => kind === "create").length;
	const deleted = changes.filter(({ kind }) => kind === "delete").length;
	return completed + remaining + created - deleted - remainingCount();
}

// Only todos that were changed later keep their status.
function rowsAfter({ before }) {
	const later = [...state.todos.values()].filter(({ updated_at }) => updated_at > before);
	const keys = [...later.map(({ id }) => rowOf(id).key), ...state.changes.map(({ key }) => key)];
	return [...new Set(keys)].map(currentRow).filter(Boolean);
}
