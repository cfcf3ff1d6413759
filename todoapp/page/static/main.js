// Puts the parts together.

import { render, state } from "./model/state.js";
import { keep, session } from "./model/storage.js";
import { onOutage } from "./net/api.js";
import * as outbox from "./net/outbox.js";
import * as sync from "./net/sync.js";
import * as actions from "./view/actions.js";
import * as compose from "./view/compose.js";
import { byId } from "./view/dom.js";
import * as keyboard from "./view/keyboard.js";
import * as list from "./view/list.js";
import * as notices from "./view/notices.js";
import { draft, edit } from "./view/row.js";
import * as toolbar from "./view/toolbar.js";

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
	notices.notice(`Not saved yet: ${text}`, "Save", save);
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
keyboard.start();
notices.start(() => list.move(0));
onOutage(notices.banner);
outbox.start(actions.tell);
sync.start({
	idsInView: list.idsInView,
	onFound: (count, hasMore) => notices.announce(`${count}${hasMore ? " or more" : ""} found`),
	onChangedElsewhere: () => notices.announce("Changed elsewhere"),
	onRejected: notices.notice,
});
