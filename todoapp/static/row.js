// One todo in the list, and its editor.

import { rename } from "./actions.js";
import { complain, isEnter, problem, room } from "./compose.js";
import { byId } from "./dom.js";
import { state } from "./state.js";

export const make = () => byId("row").content.cloneNode(true).firstElementChild;

export function update(item, row) {
	const [check, text] = item.children;
	check.checked = row.completed;
	if (item.row?.description !== row.description) {
		check.ariaLabel = text.textContent = row.description;
	}
	item.row = row;
}

export const isEditing = (item) => item.classList.contains("editing");

/** Return what a reload has interrupted, {key, id, version, text}, or null. */
export const draft = () => JSON.parse(sessionStorage.getItem("edit"));

/** Edit a todo in its place, or go on with a draft. */
export function edit(item, { text, version } = item.row) {
	if (isEditing(item)) return;
	const { key, id, description } = item.row;
	item.append(byId("editor").content.cloneNode(true));
	item.classList.add("editing");
	const [field, count] = item.querySelectorAll("textarea, .count");
	field.value = text ?? description;
	const editing = (state.editing = { key, id, version });
	const typed = () => {
		sessionStorage.edit = JSON.stringify({ ...editing, text: field.value });
		count.textContent = room(field.value);
		complain(field, "");
	};
	typed();
	field.oninput = typed;
	field.onkeydown = (event) => {
		if (event.key === "Escape") close(item);
		else if (isEnter(event)) save(item, editing);
		else return;
		event.preventDefault();
		event.stopPropagation();
	};
	// Not if it is only moved.
	field.onblur = () => setTimeout(() => document.activeElement !== field && save(item, editing));
	field.focus();
	field.setSelectionRange(field.value.length, field.value.length);
}

function save(item, editing) {
	const field = item.querySelector("textarea");
	if (!field) return;
	const typed = field.value.trim();
	if (field.value !== item.row.description.replace(/\r\n?/g, "\n")) {
		const wrong = problem(typed);
		if (wrong) return complain(field, wrong);
		rename(editing, typed);
	}
	close(item);
}

function close(item) {
	const focused = item.contains(document.activeElement);
	sessionStorage.removeItem("edit");
	state.editing = null;
	item.classList.remove("editing");
	item.querySelector(".editor").remove();
	if (focused) item.querySelector("input").focus();
}
