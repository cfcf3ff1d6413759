// What the user can do to todos, and what the page says about it.

import { changedRows, currentRow, placeOfNewTodos, remainingCount } from "../model/rows.js";
import { renderIfScheduled, state } from "../model/state.js";
import * as outbox from "../net/outbox.js";
import { refresh } from "../net/sync.js";
import { announce, showFailure, showNotice } from "./notices.js";

const MAX_QUOTE_LENGTH = 40;

let callbacks;
let undoNotice;

/**
 * The callbacks: `focusRow(key)` focuses what Undo has brought back. `restoreText(change, reason)`
 * puts a rejected text back into its field unless that is in use, and returns whether it did.
 */
export function start(viewCallbacks) {
	callbacks = viewCallbacks;
}

export function add(descriptions) {
	// The first line comes out on top: create it last if the newest todo is on top.
	const inOrder = state.query.order === "asc" ? descriptions : descriptions.toReversed();
	const changes = inOrder.map((description) => {
		const fields = { description, completed: false };
		return { kind: "create", key: newKey(), fields, remainingDelta: 1 };
	});
	outbox.add(...changes);
	const message = `Added ${summary(descriptions.length, descriptions[0])}`;
	// The new todo may be hidden, or out of view: then show the message, too.
	if (state.query.status || placeOfNewTodos() !== "start") showNotice(message);
	else announce(message);
}

// An event can hit a todo that has been deleted within the same frame: then there is no current row.

export function toggle(row) {
	const current = currentRow(row.key);
	if (!current) return;
	const { completed, description } = current;
	const verb = completed ? "Reopened" : "Completed";
	update(current, { completed: !completed }, completed ? 1 : -1, `${verb} ${quote(description)}`);
}

export function rename(row, description) {
	update(row, { description }, 0, `Edited ${quote(description)}`);
}

/** Delete a todo; for a few seconds, the deletion can be undone. */
export function remove(row) {
	const current = currentRow(row.key);
	if (!current) return;
	// Several deletions share one Undo.
	if (state.inverse || heldChanges().some(({ kind }) => kind !== "delete")) forgetLastAction();
	outbox.add({ ...deletionOf(current), held: true });
	offerUndo(`Deleted ${summary(heldChanges().length, current.description)}`);
}

export function completeAll() {
	if (!remainingCount()) return;
	const fields = { completed: true };
	const unsent = changedRows().filter(({ completed }) => !completed);
	const changes = unsent.map((row) => updateOf(row, fields, -1));
	changeAll("Completed all todos", changes, { kind: "complete", fields });
}

export function clearCompleted() {
	const unsent = changedRows().filter(({ completed }) => completed);
	changeAll("Cleared completed todos", unsent.map(deletionOf), { kind: "clear" });
}

// A bulk change spares what other clients have changed since this page last looked at the list, or
// had a change confirmed, by the server's clock. (`Date` is rounded down: in doubt, a todo is left
// alone.) What this page has not sent yet would get a later time, so it gets a change of its own.
function changeAll(message, changes, bulkChange) {
	const times = [...state.todos.values()].map(({ updated_at }) => updated_at);
	const before = times.reduce((latest, time) => time > latest ? time : latest, state.seenAt);
	// Nothing is known yet.
	if (!before) return;
	forgetLastAction();
	outbox.add(...[...changes, { ...bulkChange, before }].map((each) => ({ ...each, held: true })));
	offerUndo(message);
}

/** Undo the last action: discard what has not been sent, or take back a change of one todo. */
export function undo() {
	const { inverse } = state;
	const { key } = inverse ?? heldChanges()[0] ?? {};
	if (!inverse && !heldChanges().length) return;
	undoNotice.remove();
	state.inverse = null;
	if (inverse) {
		const isListed = state.pages.some(({ ids }) => ids.includes(inverse.id));
		// A refresh may have removed the todo from the list, where that is filtered or hides it.
		if (!isListed) state.pages[0]?.ids.push(inverse.id);
		outbox.add(inverse);
	} else {
		outbox.undo();
	}
	announce("Undone");
	renderIfScheduled();
	callbacks.focusRow(key);
}

/** Handle a confirmed or rejected change: report an error, and offer to save the text again. */
export function onChangeSettled(change, error) {
	const { key, kind } = change;
	const held = heldChanges();
	if (!held.length && !state.inverse) undoNotice?.remove();
	// Only the server knows the place of a new todo, and what a bulk change has affected: ask once all
	// changes have been sent.
	if ((!key || kind === "create") && held.length === state.changes.length) refresh();
	if (error) reportError(change, error);
}

function reportError(change, { changes, current, message, status }) {
	const { key, id, name, fields } = change;
	const version = current?.updated_at ?? change.version;
	const typed = fields?.description;
	const isDeleted = !changes && status === 404;
	// In full, so that nothing that was typed is lost.
	const quoted = typed ? `“${typed}”` : name && quote(name);
	let reason = message;
	if (current) reason = `it was changed elsewhere to ${quote(current.description)}`;
	else if (isDeleted) reason = "it was deleted elsewhere";
	let action = () => outbox.add(...(changes ?? [{ ...change, version, sent: false }]));
	let label = "Try again";
	let closeLabel;
	if (!changes && typed) {
		if (!current && !isDeleted && callbacks.restoreText(change, message)) return;
		const isMissing = isDeleted || !id;
		action = () => isMissing ? add([typed]) : rename({ key, id, version }, typed);
		if (current) [label, closeLabel] = ["Use mine", "Keep theirs"];
		else if (isMissing) label = "Add it";
	} else if (isDeleted) {
		// There is nothing left to change.
		label = action = null;
	}
	showFailure(reason, quoted, { label, action, closeLabel });
}

// A change of one todo is sent at once. The change that takes it back is sent with the version that
// this one has produced: it overwrites nothing of another client.
function update(row, fields, remainingDelta, message) {
	const change = updateOf(row, fields, remainingDelta);
	const { completed, description } = currentRow(row.key) ?? {};
	forgetLastAction();
	outbox.add(change);
	// The todo of a draft may not be loaded.
	if (description === undefined) return;
	const previous = fields.description === undefined ? { completed } : { description };
	state.inverse = { ...change, fields: previous, remainingDelta: -remainingDelta };
	offerUndo(message);
}

function updateOf({ key, id, version, description }, fields, remainingDelta) {
	const expected = expectedVersion(version);
	return { kind: "update", key, id, name: description, fields, version: expected, remainingDelta };
}

function deletionOf({ key, id, version, completed, description }) {
	const remainingDelta = completed ? 0 : -1;
	const expected = expectedVersion(version);
	return { kind: "delete", key, id, name: description, version: expected, remainingDelta };
}

// crypto.randomUUID() requires HTTPS.
const newKey = () => `new-${crypto.getRandomValues(new Uint32Array(4)).join("-")}`;

const heldChanges = () => state.changes.filter((change) => change.held);

// "Complete all" gives todos a new version that is not known here.
const expectedVersion = (version) =>
	state.changes.some(({ kind, before }) => kind === "complete" && version <= before) ? "" : version;

function offerUndo(message) {
	undoNotice?.remove();
	undoNotice = showNotice(message, { label: "Undo", action: undo, onExpired: forgetLastAction });
}

/** Only the last action can be undone. */
function forgetLastAction() {
	state.inverse = null;
	outbox.release();
}

const summary = (count, description) => count > 1 ? `${count} todos` : quote(description);

// Cut between code points: half of a surrogate pair is not a character.
function quote(text) {
	if (text.length <= MAX_QUOTE_LENGTH) return `“${text}”`;
	return `“${[...text].slice(0, MAX_QUOTE_LENGTH - 1).join("")}…”`;
}
