// The outbox: changes are persisted until the server has responded, and sent in order.

import { placeOfNewTodos } from "../model/rows.js";
import {
	markSeen,
	markStale,
	removeTodo,
	scheduleRender,
	state,
	upsertTodo,
} from "../model/state.js";
import { local, persist, restore, session } from "../model/storage.js";
import {
	read,
	reportRecovery,
	RequestError,
	retryDelay,
	send,
	timeOf,
	UnavailableError,
} from "./api.js";
import { ifNotOwned, own } from "./ownership.js";

// After three responses with an error, or six requests without a response.
const MAX_FAILURES = 6;
const PREFIX = "outbox/";
const KEEPALIVE_CHANGES = 10;
const SAVE_DELAY_MS = 100;
const storageKey = PREFIX + Math.random();

// Each open page owns an outbox in localStorage. One without an owner is sent by any other page.
const storage = local ?? session;

let adoption = Promise.resolve();
let persisted = true;
let saveTimer;
let settledListener;
let sending = false;

/**
 * Start to send.
 *
 * `onSettled(change, error)` is called for each change that is confirmed or rejected. If `error` is
 * an UnavailableError, the change was given up, and `error.changes` can be added again.
 */
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
	const stored = restore(storage, other);
	const changes = Array.isArray(stored) ? stored.filter(isComplete) : [];
	state.changes.push(...changes.map(adopted));
	save();
	persist(storage, other);
	sendAll();
}

// The key of a todo that was created on the other page is not known here.
function adopted(change) {
	const { id } = change;
	const key = id ? state.rowKeys.get(id) ?? String(id) : change.key;
	return { ...change, key, held: false, failures: 0 };
}

// Another release of the page may have stored the change.
function isComplete(change) {
	const { before, fields, key, kind } = change ?? {};
	if (["complete", "clear"].includes(kind)) return typeof before === "string";
	if (typeof key !== "string") return false;
	return kind === "delete" || (["create", "update"].includes(kind) && fields instanceof Object);
}

/** Return whether the unsent changes outlive the page. */
export const isPersisted = () => persisted;

/** Show changes and, unless they are held, send them in order. */
export function add(...changes) {
	// A held bulk change does not affect what has changed since: send it before what changes a todo.
	const [{ held, kind }] = changes;
	if (!held && kind !== "create" && state.changes.some(({ key }) => !key)) release();
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
	save();
	for (const change of state.changes) if (change.held) perform(change).catch(() => {});
}

// What has been confirmed is shown already. After a crash it may be sent again, without effect.
function saveSoon() {
	markStale();
	saveTimer ??= setTimeout(save, SAVE_DELAY_MS);
}

function save() {
	scheduleRender();
	clearTimeout(saveTimer);
	saveTimer = null;
	const { changes } = state;
	persisted = persist(storage, storageKey, changes.length && JSON.stringify(changes));
}

// One at a time: of requests under way together, any may be the first, and get the smaller ID.
async function sendAll() {
	if (sending) return;
	sending = true;
	try {
		let change;
		while ((change = nextChange())) await attempt(change);
	} finally {
		sending = false;
	}
}

/** Return the first change or, if that has failed repeatedly, the one with the fewest failures. */
function nextChange() {
	const changes = state.changes.filter(({ held }) => !held);
	const [first] = changes;
	if (!(first?.failures >= MAX_FAILURES) || first.othersSucceed) return first;
	// The changes of a todo must stay in order.
	const heads = changes.filter((change) =>
		change === changes.find(({ key }) => key === change.key)
	);
	return heads.reduce((a, b) => (b.failures ?? 0) < (a.failures ?? 0) ? b : a);
}

async function attempt(change) {
	try {
		const { data, headers } = await perform(change);
		state.changes = state.changes.filter((other) => other !== change);
		confirmChange(change, data, headers);
		for (const other of state.changes) other.othersSucceed = other.failures >= MAX_FAILURES;
	} catch (error) {
		if (error instanceof RequestError) return rejectChange(change, error);
		if (!(error instanceof UnavailableError)) throw error;
		if (await cannotSucceed(change, error)) {
			reportRecovery("write");
			return rejectChange(change, error);
		}
		await retryDelay(error);
	}
}

async function cannotSucceed(change, { status }) {
	// The user is signed out.
	if (status === 401) {
		change.sent = false;
		return false;
	}
	change.failures = (change.failures ?? 0) + (status ? 2 : 1);
	// In an outage of everything, all changes wait, and stay in order.
	if (change.failures >= MAX_FAILURES && !await canRead()) change.failures = 0;
	// Do not keep the list as it is for as long as this goes on.
	if (change.failures >= MAX_FAILURES) change.sent = false;
	// A bulk change can take longer than the server allows. It contains nothing that was typed.
	return change.othersSucceed || (!change.key && change.failures >= MAX_FAILURES);
}

const canRead = () => read("?limit=1").then(() => true, () => false);

function perform(change) {
	const { before, kind, key, fields: body } = change;
	change.sent = true;
	// The row's key is random and kept until the server has responded: repeated requests create one
	// todo. `keepalive` is slow: of a long list, the next page sends the rest.
	const keepalive = state.changes.length < KEEPALIVE_CHANGES;
	if (kind === "create") return send("POST", "", { body, keepalive, key });
	const until = `updated_before=${before}`;
	if (kind === "complete") return send("PATCH", `?status=incomplete&${until}`, { body });
	if (kind === "clear") return send("DELETE", `?status=completed&${until}`);
	return changeOne(change);
}

async function changeOne({ kind, id, fields, version }) {
	try {
		const method = kind === "update" ? "PATCH" : "DELETE";
		return await send(method, `/${id}`, { body: fields, version });
	} catch (error) {
		if (!(error instanceof RequestError)) throw error;
		if (error.status === 404 && kind === "delete") return {};
		if (error.status !== 412) throw error;
		const response = await read(`/${id}`);
		const current = response.data;
		// The change may have been made already, by an attempt that got no response.
		const hasFields = ([name, value]) => current[name] === value;
		if (fields && Object.entries(fields).every(hasFields)) return response;
		throw Object.assign(error, { current });
	}
}

function confirmChange(change, data, headers) {
	const { kind, key, id, remainingDelta = 0 } = change;
	state.confirmed++;
	state.remaining += kind === "complete" ? -data.updated : remainingDelta;
	state.completed += completedDelta(change, data);
	if (kind === "create") {
		state.rowKeys.set(data.id, key);
		const place = placeOfNewTodos();
		if (place === "start") state.pages[0]?.ids.unshift(data.id);
		if (place === "end") state.pages.at(-1)?.ids.push(data.id);
	}
	if (kind === "delete") removeTodo(id);
	else if (key) rebaseLaterChanges(change, data);
	else if (kind === "clear") removeCleared(change);
	else markCompleted(change, timeOf(headers, "999999"));
	saveSoon();
	settledListener(change);
}

function completedDelta({ kind, remainingDelta = 0 }, data) {
	if (kind === "complete") return data.updated;
	if (kind === "clear") return -data.deleted;
	if (kind === "delete") return -1 - remainingDelta;
	return kind === "update" ? -remainingDelta : 0;
}

const laterChanges = () => [...state.changes, state.inverse, state.editing].filter(Boolean);

/** Let later changes of a todo expect the version that this change has produced. */
function rebaseLaterChanges({ key, version }, todo) {
	upsertTodo(todo);
	for (const later of laterChanges()) {
		if (later.key !== key) continue;
		later.id = todo.id;
		if (later.version === version) later.version = todo.updated_at;
	}
}

function removeCleared({ before }) {
	for (const { id, completed, updated_at } of state.todos.values()) {
		// Not marked as deleted: another client may have reopened the todo.
		if (completed && updated_at <= before) state.todos.delete(id);
	}
}

function markCompleted({ before }, time) {
	// The new versions are not known, only that they are not later than the response.
	for (const todo of state.todos.values()) {
		if (todo.completed || todo.updated_at > before) continue;
		state.todos.set(todo.id, { ...todo, completed: true, updated_at: "" });
	}
	for (const later of laterChanges()) {
		if (later.version <= before) later.version = "";
		if (later.before < time) later.before = time;
	}
	markSeen(time);
}

function rejectChange(change, error) {
	const { kind, key, id } = change;
	const isGivenUp = error instanceof UnavailableError;
	// Later changes of a todo fail with its creation. Those of a change that was given up can be added
	// again together with it.
	const takesOthers = key && (kind === "create" || isGivenUp);
	const isRejected = (other) => other === change || (takesOthers && other.key === key);
	const rejected = state.changes.filter(isRejected);
	state.changes = state.changes.filter((other) => !isRejected(other));
	if (key && state.inverse?.key === key) state.inverse = null;
	if (error.current) state.todos.set(id, error.current);
	if (isGivenUp) {
		error.changes = rejected.map((each) => ({ ...each, failures: 0, othersSucceed: false }));
	} else if (error.status === 404 && id) {
		removeTodo(id);
	}
	save();
	const fields = Object.assign({}, ...rejected.map((each) => each.fields));
	settledListener({ ...change, fields }, error);
}
