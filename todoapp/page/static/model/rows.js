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
	const creations = changes.filter(({ kind }) => kind === "create");
	const matches = ({ completed }) => !query.status || completed === (query.status === "completed");
	// Only the server can tell whether a new todo matches a search.
	const newRows = query.search ? [] : creations.reverse().map(({ key }) => ({ key }));
	return [...newRows, ...[...ids].map(rowOf)]
		.map((row) => row && changesOf(row).reduce(applyChange, row))
		.filter((row) => row && matches(row));
}

/** Return a todo with the pending changes applied, or a falsy value if it has been deleted. */
export function currentRow({ key, id = idOf(key) }) {
	const row = state.changes.reduce(applyChange, id ? rowOf(id) : { key });
	return row?.description && row;
}

/** Return the ID of a todo that was created here, if the server has confirmed it. */
const idOf = (key) => [...state.rowKeys].find(([, rowKey]) => rowKey === key)?.[0];

function rowOf(id) {
	const todo = state.todos.get(id);
	return todo && { ...todo, key: state.rowKeys.get(id) ?? String(id), version: todo.updated_at };
}

function applyChange(row, { kind, key, fields }) {
	if (key) {
		if (key !== row?.key) return row;
		return kind === "delete" ? null : { ...row, ...fields };
	}
	// A new row has no description until its creation has been applied: a bulk change does not
	// affect todos that are created after it.
	if (!row?.description) return row;
	if (kind === "complete") return { ...row, ...fields };
	return row.completed ? null : row;
}

/** Return the number of incomplete todos once the pending changes are made. */
export const remainingCount = () =>
	state.changes.reduce(
		(count, { kind, remainingDelta = 0 }) => kind === "complete" ? 0 : count + remainingDelta,
		state.remaining,
	);
