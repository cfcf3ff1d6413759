// The outbox: changes are persisted until the server has responded, and sent in order.

import { removeTodo, scheduleRender, state, upsertTodo } from "../model/state.js";
import { local, persist, session } from "../model/storage.js";
import { read, RequestError, send, UnavailableError } from "./api.js";
import { retryDelay } from "./delay.js";
import { ifNotOwned, own } from "./ownership.js";

const PREFIX = "outbox/";
const storageKey = PREFIX + Math.random();

// Every page has an outbox of its own in localStorage, and owns it for as long as it is open. An
// outbox without an owner belongs to a closed page: any other page sends its changes.
const storage = local ?? session;

let adoption = Promise.resolve();
let settledListener;
let sending = false;

/** Start to send. Call `onSettled(change, error)` for each change that is confirmed or rejected. */
export function start(onSettled) {
	settledListener = onSettled;
	own(storageKey);
	addEventListener("visibilitychange", adoptOutboxes);
	adoptOutboxes();
}

// One after the other: this page does not compete with itself.
function adoptOutboxes() {
	for (const other of Object.keys(storage).filter((name) => name.startsWith(PREFIX))) {
		if (other === storageKey) continue;
		adoption = adoption.then(() => ifNotOwned(other, () => adopt(other)));
	}
}

function adopt(other) {
	// A bulk change was meant for the todos as they were then.
	const changes = JSON.parse(storage[other] ?? "[]").filter(({ key }) => key);
	state.changes.push(...changes.map((change) => ({ ...change, held: false })));
	save();
	persist(storage, other);
	sendAll();
}

/** Show changes and, unless they are held, send them in order. */
export function add(...changes) {
	// A held bulk change was meant for the todos as they were: send it before what changes them.
	const [{ held, kind }] = changes;
	const mustPrecede = (other) => !other.key && (kind !== "create" || other.kind === "complete");
	if (!held && state.changes.some(mustPrecede)) release();
	state.changes.push(...changes);
	save();
	sendAll();
}

/** Discard the held changes. */
export function undo() {
	state.changes = state.changes.filter(({ held }) => !held);
	save();
}

/** Send the held changes: they cannot be undone any more. */
export function release() {
	for (const change of state.changes) change.held = false;
	save();
	sendAll();
}

/** Send the held changes when the page is closed. The next page sends those that get lost. */
export function sendHeld() {
	for (const change of state.changes) if (change.held) perform(change).catch(() => {});
}

function save() {
	scheduleRender();
	persist(storage, storageKey, state.changes.length && JSON.stringify(state.changes));
}

async function sendAll() {
	if (sending) return;
	sending = true;
	try {
		let change;
		while ((change = state.changes.find(({ held }) => !held))) await attempt(change);
	} finally {
		sending = false;
	}
}

async function attempt(change) {
	try {
		const result = await perform(change);
		state.changes = state.changes.filter((other) => other !== change);
		confirmChange(change, result);
	} catch (error) {
		if (error instanceof RequestError) return rejectChange(change, error);
		if (!(error instanceof UnavailableError)) throw error;
		await retryDelay();
	}
}

function perform(change) {
	const { kind, key, fields: body } = change;
	change.sent = true;
	// The row's key is random and kept until the server has responded: repeated requests create one
	// todo.
	if (kind === "create") return send("POST", "", { body, key });
	if (kind === "complete") return send("PATCH", "?status=incomplete", { body });
	if (kind === "clear") return send("DELETE", "?status=completed");
	return changeOne(change);
}

async function changeOne({ kind, id, fields, version }) {
	try {
		const method = kind === "update" ? "PATCH" : "DELETE";
		return await send(method, `/${id}`, { body: fields, version });
	} catch (error) {
		if (error.status === 404 && kind === "delete") return null;
		if (error.status !== 412) throw error;
		const { data: current } = await read(`/${id}`);
		// The change may have been made already, by an attempt that got no response.
		const hasFields = ([name, value]) => current[name] === value;
		if (fields && Object.entries(fields).every(hasFields)) return current;
		throw Object.assign(error, { current });
	}
}

function confirmChange(change, result) {
	const { kind, key, id, remainingDelta = 0 } = change;
	state.confirmed++;
	state.remaining = kind === "complete" ? 0 : state.remaining + remainingDelta;
	if (kind === "create") {
		state.rowKeys.set(result.id, key);
		const { search, order } = state.query;
		if (!search && order !== "asc") state.pages[0]?.ids.unshift(result.id);
	}
	if (kind === "delete") removeTodo(id);
	else if (key) rebaseLaterChanges(change, result);
	else applyBulkChange(kind);
	save();
	settledListener(change);
}

/** Let later changes of a todo expect the version that this change has produced. */
function rebaseLaterChanges({ key, version }, todo) {
	upsertTodo(todo);
	for (const later of [...state.changes, state.editing]) {
		if (later?.key !== key) continue;
		later.id = todo.id;
		if (later.version === version) later.version = todo.updated_at;
	}
}

function applyBulkChange(kind) {
	for (const todo of state.todos.values()) {
		if (todo.completed !== (kind === "clear")) continue;
		// Removed from the list, not marked as deleted: another client may have reopened the todo,
		// and the next refresh then returns it.
		if (todo.completed) state.todos.delete(todo.id);
		// The new version is not known.
		else Object.assign(todo, { completed: true, updated_at: "" });
	}
	if (kind === "clear") return;
	for (const later of [...state.changes, state.editing]) if (later) later.version = "";
}

function rejectChange(change, error) {
	const { kind, key, id } = change;
	// Without its creation, there is no todo that later changes could apply to.
	const isRejected = (other) => other === change || (kind === "create" && other.key === key);
	const rejected = state.changes.filter(isRejected);
	state.changes = state.changes.filter((other) => !isRejected(other));
	if (error.current) state.todos.set(id, error.current);
	if (error.status === 404 && id) removeTodo(id);
	save();
	const fields = Object.assign({}, ...rejected.map((each) => each.fields));
	settledListener({ ...change, fields }, error);
}
