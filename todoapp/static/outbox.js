// The changes to be made: kept until the server has made or refused them, and sent in order.

import { Outage, pause, read, Refusal, send } from "./api.js";
import { changed, forget, learn, state } from "./state.js";

// What a closed page has left, the next one sends. Without locks (on plain HTTP) nobody can tell
// which page is closed: there each tab keeps its own.
const [storage, locks] = navigator.locks
	? [localStorage, navigator.locks]
	: [sessionStorage, { request: (name, options, task) => task?.(true) }];
const place = `outbox/${Date.now()}-${Math.random()}`;

let listener;
let sending = false;

/** Begin to send. `hear(change, answer, error)` is called for what was made or refused. */
export async function start(hear) {
	listener = hear;
	locks.request(place, () => new Promise(() => {}));
	for (const other of Object.keys(storage).filter((name) => name.startsWith("outbox/"))) {
		await locks.request(other, { ifAvailable: true }, (free) => {
			if (!free || other === place) return;
			// Not what was meant for all todos as they were then.
			state.changes.push(...JSON.parse(storage[other]).filter(({ key }) => key));
			release();
			storage.removeItem(other);
		});
	}
}

/** Show a change, and send it in its turn, if it is not held. */
export function add(change) {
	// It was meant for the todos as they were.
	if (!change.held && state.changes.some(({ kind }) => kind === "clear")) release();
	state.changes.push(change);
	save();
	drain();
}

export function undo() {
	state.changes = state.changes.filter(({ held }) => !held);
	save();
}

export function release() {
	for (const change of state.changes) change.held = false;
	save();
	drain();
}

/** The page is closed: send what is held. What gets lost, the next page sends. */
export function leave() {
	for (const change of state.changes) if (change.held) perform(change).catch(() => {});
}

function save() {
	if (state.changes.length) storage[place] = JSON.stringify(state.changes);
	else storage.removeItem(place);
	changed();
}

async function drain() {
	if (sending) return;
	sending = true;
	try {
		for (let change; (change = state.changes.find(({ held }) => !held)); ) await next(change);
	} finally {
		sending = false;
	}
}

async function next(change) {
	try {
		const answer = await perform(change);
		state.changes = state.changes.filter((other) => other !== change);
		settle(change, answer);
	} catch (error) {
		if (error instanceof Refusal) return refuse(change, error);
		if (!(error instanceof Outage)) throw error;
		if (error.certain) delete change.after;
		await pause("write");
	}
}

function perform(change) {
	const { kind, fields } = change;
	if (kind === "create") return create(change);
	if (kind === "complete") return send("PATCH", "?status=incomplete", fields);
	if (kind === "clear") return send("DELETE", "?status=completed");
	return changeOne(change);
}

async function create(change) {
	const { after, fields } = change;
	if (after !== undefined) {
		// It got no answer, and may be at work: locks are waited for 3 seconds.
		await new Promise((resolve) => setTimeout(resolve, 3500));
		const made = (await newest(100)).find(
			({ id, description }) => id > after && description === fields.description,
		);
		if (made) return made;
	}
	change.after = state.newest || (await newest(1))[0]?.id || 0;
	save();
	return send("POST", "", fields);
}

const newest = async (limit) => (await read(`?sort_by=id&order=desc&limit=${limit}`)).data;

async function changeOne({ kind, id, fields, version }) {
	try {
		return await send(kind === "update" ? "PATCH" : "DELETE", `/${id}`, fields, version);
	} catch (error) {
		if (error.status === 404 && kind === "delete") return null;
		if (error.status !== 412) throw error;
		const { data } = await read(`/${id}`);
		// It may be this change that was made, and got no answer.
		if (fields && Object.keys(fields).every((name) => data[name] === fields[name])) return data;
		throw Object.assign(error, { newer: data });
	}
}

function settle(change, answer) {
	const { kind, key, id } = change;
	state.settled++;
	if (state.left !== null) state.left = kind === "complete" ? 0 : state.left + (change.left ?? 0);
	if (kind === "create") {
		state.keys.set(answer.id, key);
		const { search, order } = state.view;
		if (!search && order !== "asc") state.pages[0]?.ids.unshift(answer.id);
	}
	if (kind === "delete") forget(id);
	else if (key) follow(change, answer);
	else settleAll(kind);
	save();
	listener(change, answer);
}

// Later changes of the same todo are changes of what this one has made of it.
function follow({ key, version }, todo) {
	learn(todo);
	for (const later of [...state.changes, state.editing]) {
		if (later?.key === key && later.version === version) {
			Object.assign(later, { id: todo.id, version: todo.updated_at });
		}
	}
}

function settleAll(kind) {
	for (const todo of [...state.todos.values()]) {
		// Of which version, the next look tells.
		if (kind === "complete") Object.assign(todo, { completed: true, updated_at: "" });
		else if (todo.completed) forget(todo.id);
	}
	for (const later of [...state.changes, state.editing]) if (later) later.version = "";
}

function refuse(change, error) {
	const { key, id } = change;
	state.changes = state.changes.filter((other) => other !== change && (id || other.key !== key));
	if (error.newer) state.todos.set(id, error.newer);
	if (error.status === 404 && id) forget(id);
	save();
	listener(change, null, error);
}
