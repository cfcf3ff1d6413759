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
	return rows
		.map((row) => row && changesOf(row).reduce(applyChange, row))
		.filter((row) => row && matches(row));
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

function rowOf(id) {
	const todo = state.todos.get(id);
	return todo && { ...todo, key: state.rowKeys.get(id) ?? String(id), version: todo.updated_at };
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
	const { changes, remaining, todos } = state;
	const complete = changes.findLast(({ kind }) => kind === "complete");
	if (!complete) {
		return changes.reduce((count, { remainingDelta = 0 }) => count + remainingDelta, remaining);
	}
	// Only those remain that were changed later.
	const later = [...todos.values()].filter(({ updated_at }) => updated_at > complete.before);
	const keys = new Set([...later.map(({ id }) => rowOf(id).key), ...changes.map(({ key }) => key)]);
	return [...keys].map(currentRow).filter((row) => row && !row.completed).length;
}
