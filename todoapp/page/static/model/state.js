// The client's state: the todos as the server last returned them, and the pending changes.

export const state = {
	/** What the list shows: {status, search, sort_by, order}. */
	query: {},
	/** The loaded pages of the list, in order: {path, etag, ids, next}. */
	pages: [],
	/** Whether the first page of `query` has been loaded. */
	loaded: false,
	/** Todos by ID, as the server last returned them. */
	todos: new Map(),
	/** Row keys by ID, of todos created here: their rows existed before they had an ID. */
	rowKeys: new Map(),
	/** IDs of deleted todos: a response under way may still contain them. */
	deletedIds: new Set(),
	/**
	 * The changes that the server has not confirmed, in order: {kind, key, id, fields, version,
	 * remainingDelta}, `held` while they can be undone, `sent` while they may have been made. A bulk
	 * change has no key, and spares todos that were changed after `before`.
	 */
	changes: [],
	/** The change that takes the last one back. */
	inverse: null,
	/** The open editor: {key, id, version, original}. */
	editing: null,
	/** The number of incomplete todos on the server, without the pending changes. */
	remaining: NaN,
	/** The number of completed todos, likewise. */
	completed: NaN,
	/** Whether the completed todos are shown below the others, where the list contains both. */
	showsCompleted: false,
	/** When the server last returned the list, by its clock. */
	seenAt: "",
	/** The number of changes that the server has confirmed. */
	confirmed: 0,
};

let renderer;
let isStale = false;
let frame = null;

/** Call `render()` whenever the state has changed. */
export function onRender(render) {
	renderer = render;
}

/** Render with the next frame. */
export function scheduleRender() {
	isStale = true;
	frame ??= requestAnimationFrame(renderIfScheduled);
}

/** Render before the next event: the change is not visible. */
export function markStale() {
	isStale = true;
}

/** Render now if the state has changed since the last render. */
export function renderIfScheduled() {
	frame = null;
	if (isStale) renderer();
	isStale = false;
}

/** Store a todo unless a later version is known: responses can arrive out of order. */
export function upsertTodo(todo) {
	const { id, updated_at } = todo;
	const knownVersion = state.todos.get(id)?.updated_at;
	if (!(knownVersion >= updated_at || state.deletedIds.has(id))) state.todos.set(id, todo);
}

/** Remember that the state of a time is known; `timestamp` is the server's. */
export function markSeen(timestamp) {
	// The clocks of several servers may differ.
	if (timestamp > state.seenAt) state.seenAt = timestamp;
}

export function removeTodo(id) {
	state.deletedIds.add(id);
	state.todos.delete(id);
}
