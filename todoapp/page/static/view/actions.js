// What one can do to todos.

import { state } from "../model/state.js";
import * as outbox from "../net/outbox.js";
import { look } from "../net/sync.js";
import { announce, notice } from "./notices.js";

let undoable;

export function add(descriptions) {
	const changes = descriptions.map((description) => {
		const fields = { description, completed: false };
		return { kind: "create", key: `new-${Math.random()}`, fields, left: 1 };
	});
	outbox.add(...changes);
	// It may not be shown.
	const say = state.view.search || state.view.status ? notice : announce;
	say(`Added ${numbered(descriptions.length, descriptions[0])}`);
}

export function toggle(row) {
	update(row, { completed: !row.completed }, row.completed ? 1 : -1);
}

export function rename(row, description) {
	update(row, { description }, 0);
}

/** Delete a todo; for some seconds it can be undone. */
export function remove({ key, id, version, description, completed }) {
	const left = completed ? 0 : -1;
	outbox.add({ kind: "delete", key, id, version: expected(version), left, held: true });
	undoLater(`Deleted ${numbered(held().length, description)}`);
}

export function complete() {
	outbox.add({ kind: "complete", fields: { completed: true }, held: true });
	undoLater("Completed all todos");
}

export function clear() {
	outbox.add({ kind: "clear", held: true });
	undoLater("Cleared completed todos");
}

export function undo() {
	if (!held().length) return;
	undoable.remove();
	outbox.undo();
	announce("Undone");
}

/** Say what has become of a change, and offer again what was typed. */
export function tell({ key, id, kind, fields, version }, error) {
	if (!held().length) undoable?.remove();
	// Where it belongs, or which ones it was, only the server knows: once all is sent.
	if ((!key || kind === "create") && held().length === state.changes.length) look();
	if (!error) return;
	const typed = fields?.description;
	const { newer, message, status } = error;
	const gone = status === 404 || !id;
	const row = { key, id, version: newer?.updated_at ?? version };
	const label = newer ? "Use mine" : gone ? "Add it" : "Try again";
	const again = () => (gone ? add([typed]) : rename(row, typed));
	const changed = newer && `It was changed elsewhere to ${quoted(newer.description)}`;
	const why = changed ?? (status === 404 ? "It was deleted elsewhere" : message);
	if (typed) notice(`Not saved: ${typed}. ${why}.`, label, again);
	else notice(`Taken back. ${why}.`);
}

function update({ key, id, version }, fields, left) {
	outbox.add({ kind: "update", key, id, fields, version: expected(version), left });
}

const held = () => state.changes.filter((change) => change.held);

// After that, nobody knows the version.
const expected = (version) => state.changes.some(({ kind }) => kind === "complete") ? "" : version;

function undoLater(message) {
	undoable?.remove();
	undoable = notice(message, "Undo", undo, outbox.release);
}

const numbered = (count, text) => (count > 1 ? `${count} todos` : quoted(text));
const quoted = (text) => `“${text.length > 40 ? `${[...text].slice(0, 39).join("")}…` : text}”`;
