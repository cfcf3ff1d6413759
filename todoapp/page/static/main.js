// Connects the modules: user interface (view/), requests (net/) and state (model/).

import { onRender, renderIfScheduled, state } from "./model/state.js";
import { onOutage } from "./net/api.js";
import * as outbox from "./net/outbox.js";
import * as sync from "./net/sync.js";
import * as actions from "./view/actions.js";
import * as compose from "./view/compose.js";
import { byId } from "./view/dom.js";
import { highlight } from "./view/highlight.js";
import * as keyboard from "./view/keyboard.js";
import * as list from "./view/list.js";
import * as notices from "./view/notices.js";
import * as place from "./view/place.js";
import * as row from "./view/row.js";
import * as toolbar from "./view/toolbar.js";

const main = document.querySelector("main");
let draft = row.draft();
let lastClicked;

onRender(() => {
	list.render();
	toolbar.render();
	markHits();
	if (!state.loaded) return;
	if (draft) restoreDraft(draft);
	draft = null;
	place.update();
	if (list.isEndNear()) sync.loadMore();
});

const markHits = () => highlight(list.itemsInView(), state.query.search);

function restoreDraft({ key, id, version, text }) {
	const item = list.itemOf(id ? String(id) : key);
	if (item) return row.edit(item, { version, text });
	const save = () => {
		row.discardDraft();
		actions.rename({ key: String(id), id, version }, text);
	};
	notices.showNotice(`Unsaved edit: ${text}`, { label: "Save", action: save });
}

function restoreText({ key, id, version, fields: { description: text } }, reason) {
	if (!id) return compose.restore(text, reason);
	// The row still has the rejected text.
	renderIfScheduled();
	const item = list.itemOf(key);
	return item && row.editRejected(item, { text, version }, reason);
}

main.onchange = ({ target }) => {
	if (!target.matches("input")) return;
	const item = target.closest("li");
	// The browser has ticked it already: it is rendered again, whatever becomes of the change.
	item.row = { ...item.row };
	actions.toggle(item.row);
};
main.ondblclick = ({ target }) => {
	if (target.matches(".text")) row.edit(target.closest("li"));
};
main.onclick = (event) => {
	const { detail, target } = event;
	const item = target.closest("li");
	if (!item) return;
	if (detail < 2) lastClicked = item;
	// The second click of a double click must not hit the todo that has moved there meanwhile.
	else if (item !== lastClicked) return event.preventDefault();
	// A tap on the text edits it; with a mouse, a click may select a part of it.
	const isTap = target.matches(".text") && matchMedia("(pointer: coarse)").matches;
	if (isTap || target.closest(".edit")) row.edit(item);
	if (target.closest(".delete")) actions.remove(item.row);
};
// Events act on the current state, even if it has not been painted yet. (Not before "change": a
// render would reset the checkbox.)
for (const type of ["click", "keydown"]) addEventListener(type, renderIfScheduled, true);
addEventListener("scroll", () => {
	markHits();
	if (list.isEndNear()) sync.loadMore();
});
addEventListener("pagehide", outbox.sendHeld);
// A page from the back/forward cache would offer to undo what was sent when it was hidden.
addEventListener("pageshow", ({ persisted }) => persisted && location.reload());

place.start();
notices.start(() => list.moveFocus(0));
toolbar.start();
compose.start();
keyboard.start();
onOutage((...outage) => notices.showOutage(...outage, outbox.isPersisted()));
actions.start({ focusRow: list.focusRow, restoreText });
outbox.start(actions.onChangeSettled);
sync.start({
	idsInView: () => list.itemsInView().map(({ row }) => row.id),
	onQueried: (...found) => notices.announce(toolbar.summary(...found)),
	onChangedElsewhere: () => notices.announce("Changed elsewhere"),
	onRejected: (message) => notices.showNotice(message),
});

// Where access is controlled, nothing is left behind.
byId("sign-out")?.addEventListener("submit", sync.forgetLastPage);

// In a secure context only. After the first paint: it loads the page's files once more.
addEventListener("load", () => navigator.serviceWorker?.register("/service-worker.js"));
