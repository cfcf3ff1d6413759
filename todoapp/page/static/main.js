// Puts the parts together.

import * as actions from "./actions.js";
import * as compose from "./compose.js";
import { byId, keep, session } from "./browser.js";
import * as keys from "./keys.js";
import * as list from "./list.js";
import { notice } from "./notices.js";
import * as outbox from "./outbox.js";
import { draft, edit } from "./row.js";
import { render, state } from "./state.js";
import * as sync from "./sync.js";
import * as toolbar from "./toolbar.js";

const todos = byId("todos");
let unsaved = draft();
let clicked;

state.render = () => {
	list.render();
	toolbar.render();
	if (!state.loaded) return;
	if (unsaved) goOnEditing(unsaved);
	unsaved = null;
	if (list.isEndNear()) sync.more();
};

function goOnEditing({ key, id, version, text }) {
	const item = list.itemOf(id ? String(id) : key);
	if (item) return edit(item, { version, text });
	const save = () => {
		keep(session, "edit");
		actions.rename({ key: String(id), id, version }, text);
	};
	notice(`Not saved yet: ${text}`, "Save", save);
}

todos.onchange = ({ target }) => {
	if (target.matches("input")) actions.toggle(target.closest("li").row);
};
todos.ondblclick = ({ target }) => {
	if (target.matches(".text")) edit(target.closest("li"));
};
todos.onclick = (event) => {
	const { detail, target } = event;
	const item = target.closest("li");
	if (detail < 2) clicked = item;
	// The second click of two was not meant for the todo that has come there.
	else if (item !== clicked) return event.preventDefault();
	if (target.matches(".edit")) edit(item);
	if (target.matches(".delete")) actions.remove(item.row);
};
// What one acts on is what is known, painted or not. (Before a "change", it would undo that.)
for (const type of ["click", "keydown"]) addEventListener(type, render, true);
addEventListener("scroll", () => list.isEndNear() && sync.more());
addEventListener("pagehide", outbox.leave);
// What was held has been sent.
addEventListener("pageshow", ({ persisted }) => persisted && location.reload());

toolbar.start();
compose.start();
keys.start();
outbox.start(actions.tell);
sync.start(list.idsInView);
