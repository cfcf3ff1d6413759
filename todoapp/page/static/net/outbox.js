// The changes to be made: kept until the server has answered, and sent in order.

import { changed, forget, learn, state } from "../model/state.js";
import { keep, local, session } from "../model/storage.js";
import { Outage, read, Refusal, send } from "./api.js";
import { pause, wait } from "./delay.js";

// What a closed page has left, the next one sends. On plain HTTP there are no locks to tell which
// page is closed, and each tab keeps its own.
const [storage, locks] = local && navigator.locks
	? [local, navigator.locks]
	: [session, { request: (_name, _options, task) => task?.(true) }];
const place = `outbox/${Math.random()}`;

let asked;
let listener;
let sending = false;

/** Begin to send. `hear(change, error)` is called for what was made or refused. */
export function start(hear) {
	listener = hear;
	locks.request(place, () => new Promise(() => {}));
	addEventListener("visibilitychange", adopt);
	adopt();
}

async function adopt() {
	for (const other of Object.keys(storage).filter((name) => name.startsWith("outbox/"))) {
		await locks.request(other, { ifAvailable: true }, (free) => {
			if (!free || other === place) return;
			// Not what was meant for all todos as they were then.
			state.changes.push(...JSON.parse(storage[other] ?? "[]").filter(({ key }) => key));
			release();
			keep(storage, other);
		});
	}
}

/** Show changes, and send them in their turn, if they are not held. */
export function add(...changes) {
	// It was meant for the todos as they were.
	const [{ held, kind }] = changes;
	const isBefore = (other) => !other.key && (kind !== "create" || other.kind === "complete");
	if (!held && state.changes.some(isBefore)) release();
	state.changes.push(...changes);
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
	changed();
	keep(storage, place, state.changes.length && JSON.stringify(state.changes));
}

async function drain() {
	if (sending) return;
	sending = true;
	try {
		for (let change; (change = state.changes.find(({ held }) => !held));) await next(change);
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
		await pause();
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
		await wait(3500);
		const made = (await newest(100)).find(
			({ id, description }) => id > after && description === fields.description,
		);
		if (made) return made;
	}
	// Not all that is older may have been shown.
	asked ??= (await newest(1)).map(learn);
	change.after = state.newest;
	save();
	return send("POST", "", fields);
}

const newest = async (limit) => (await read(`?order=desc&limit=${limit}`)).data;

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
	state.left = kind === "complete" ? 0 : state.left + (change.left ?? 0);
	if (kind === "create") {
		state.keys.set(answer.id, key);
		const { search, order } = state.view;
		if (!search && order !== "asc") state.pages[0]?.ids.unshift(answer.id);
	}
	if (kind === "delete") forget(id);
	else if (key) follow(change, answer);
	else settleAll(kind);
	save();
	listener(change);
}

// Later changes are changes of what this one has made of it.
function follow({ key, version }, todo) {
	learn(todo);
	for (const later of [...state.changes, state.editing]) {
		if (later?.key !== key) continue;
		later.id = todo.id;
		if (later.version === version) later.version = todo.updated_at;
	}
}

function settleAll(kind) {
	for (const todo of state.todos.values()) {
		if (todo.completed !== (kind === "clear")) continue;
		// Somebody may have reopened it: the next look tells.
		if (todo.completed) state.todos.delete(todo.id);
		else Object.assign(todo, { completed: true, updated_at: "" });
	}
	if (kind === "clear") return;
	for (const later of [...state.changes, state.editing]) if (later) later.version = "";
}

function refuse(change, error) {
	const { kind, key, id } = change;
	const isIts = (other) => other === change || (kind === "create" && other.key === key);
	const refused = state.changes.filter(isIts);
	state.changes = state.changes.filter((other) => !isIts(other));
	if (error.newer) state.todos.set(id, error.newer);
	if (error.status === 404 && id) forget(id);
	save();
	const fields = Object.assign({}, ...refused.map((each) => each.fields));
	listener({ ...change, fields }, error);
}
