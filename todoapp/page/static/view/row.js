// One todo in the list, and its editor.

import { state } from "../model/state.js";
import { keep, session } from "../model/storage.js";
import { rename } from "./actions.js";
import { complain, isEnter, problem, room } from "./compose.js";
import { byId } from "./dom.js";

export function update(item, row) {
	const [check, text] = item.children;
	check.checked = row.completed;
	if (item.row?.description !== row.description) {
		check.ariaLabel = text.textContent = row.description;
	}
	item.row = row;
}

/** Return what a reload has interrupted, {key, id, version, text}, or null. */
export const draft = () => JSON.parse(session.edit ?? null);

/** Edit a todo in its place, or go on with a draft. */
export function edit(item, { text, version } = item.row) {
	// Another one is not right yet.
	if (state.editing) return document.querySelector(".editing textarea").focus();
	const { key, id, description } = item.row;
	item.append(byId("editor").content.cloneNode(true));
	item.classList.add("editing");
	const [field, count] = item.querySelectorAll("textarea, .count");
	field.value = description;
	state.editing = { key, id, version, before: field.value };
	field.value = text ?? field.value;
	const typed = () => {
		keep(session, "edit", JSON.stringify({ ...state.editing, text: field.value }));
		count.textContent = room(field.value);
		complain(field, "");
	};
	typed();
	field.oninput = typed;
	field.onkeydown = (event) => {
		if (event.key === "Escape") close(item);
		else if (isEnter(event)) save(item);
		else return;
		event.preventDefault();
		event.stopPropagation();
	};
	// Not if it is only moved.
	const left = () => document.activeElement !== field && save(item);
	field.onblur = () => setTimeout(left);
	field.focus();
	field.setSelectionRange(field.value.length, field.value.length);
}

function save(item) {
	const field = item.querySelector("textarea");
	if (!field) return;
	const typed = field.value.trim();
	if (field.value !== state.editing.before) {
		const wrong = problem(typed);
		if (wrong) return complain(field, wrong);
		rename(state.editing, typed);
	}
	close(item);
}

function close(item) {
	const focused = item.contains(document.activeElement);
	keep(session, "edit");
	state.editing = null;
	item.classList.remove("editing");
	item.querySelector(".editor").remove();
	if (focused) item.querySelector("input").focus();
}
