// What the page knows: the todos as the server has them, and the changes to come.

export const state = {
	// {status, search, sort_by, order}.
	view: {},
	// As far as the list is loaded: {query, etag, ids, next}.
	pages: [],
	loaded: false,
	todos: new Map(),
	// By id: the key of a row that was there before it had an id.
	keys: new Map(),
	// Deleted; an answer on its way may still have them.
	gone: new Set(),
	// In order: {kind, key, id, fields, version, left}, and `held` if it can be undone.
	changes: [],
	// {key, id, version, before}
	editing: null,
	// How many are left to do, without the changes.
	left: NaN,
	newest: 0,
	settled: 0,
	render: null,
};

let scheduled = false;

/** Render, with the next frame. */
export function changed() {
	if (!scheduled) requestAnimationFrame(render);
	scheduled = true;
}

/** Render now, if anything has changed. */
export function render() {
	if (scheduled) state.render();
	scheduled = false;
}

/** Keep a todo, unless a later state is known. */
export function learn(todo) {
	const { id, updated_at } = todo;
	const known = state.todos.get(id)?.updated_at;
	state.newest = Math.max(state.newest, id);
	if (!(known >= updated_at || state.gone.has(id))) state.todos.set(id, todo);
}

export function forget(id) {
	state.gone.add(id);
	state.todos.delete(id);
}

/** Return what is shown: [{key, id, description, completed, version}]. */
export function rows() {
	const { changes, pages, view } = state;
	const ids = new Set(pages.flatMap((page) => page.ids));
	const byKey = Map.groupBy(changes, ({ key }) => key);
	const some = ({ key }) => (byKey.has(undefined) ? changes : (byKey.get(key) ?? []));
	const unsent = view.search ? [] : changes.filter(({ kind }) => kind === "create");
	// It may be in the list before it has its answer.
	const { after, fields } = changes.find(({ kind }) => kind === "create") ?? {};
	const sent = ({ id, description }) => id > after && description === fields.description;
	const wanted = (row) =>
		row && !sent(row) && (!view.status || row.completed === (view.status === "completed"));
	return [...unsent.reverse().map(({ key }) => ({ key })), ...[...ids].map(rowOf)]
		.map((row) => row && some(row).reduce(effect, row))
		.filter(wanted);
}

function rowOf(id) {
	const todo = state.todos.get(id);
	return todo && { ...todo, key: state.keys.get(id) ?? String(id), version: todo.updated_at };
}

function effect(row, { kind, key, fields }) {
	if (key && key === row?.key) return kind === "delete" ? null : { ...row, ...fields };
	// Not created yet, when all were changed.
	if (key || !row?.description) return row;
	return kind === "complete" ? { ...row, ...fields } : row.completed ? null : row;
}

export const left = () =>
	state.changes.reduce(
		(sum, { kind, left: more = 0 }) => (kind === "complete" ? 0 : sum + more),
		state.left,
	);
