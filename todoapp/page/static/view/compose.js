// The field for new todos.

import { placeOfNewTodos } from "../model/rows.js";
import { renderIfScheduled } from "../model/state.js";
import { persist, session } from "../model/storage.js";
import { add } from "./actions.js";
import { byId } from "./dom.js";
import { isSubmitKey, showFieldError, updateField, validationError } from "./fields.js";

const MAX_LINES = 1000;
// As long as systems wait for the second click of a double click.
const DOUBLE_PRESS_MS = 500;

const form = byId("compose");
const field = byId("description");
const addLines = byId("add-lines");
let addedAt = -Infinity;

/** Restore what was typed before a reload, unless something has been typed since. */
export function start() {
	field.value ||= session.add ?? "";
	update();
	field.oninput = update;
	field.onkeydown = (event) => {
		if (!isSubmitKey(event)) return;
		event.preventDefault();
		// A second press would submit the emptied field.
		const isSecond = event.repeat || event.timeStamp - addedAt < DOUBLE_PRESS_MS;
		if (field.value || !isSecond) form.requestSubmit();
	};
	// The second click of a double click would submit the emptied field.
	form.onclick = (event) => {
		if (event.detail > 1 && event.target.matches("button")) event.preventDefault();
	};
	form.onsubmit = (event) => {
		event.preventDefault();
		submit(event.submitter?.parentElement === addLines ? lines() : [field.value.trim()]);
	};
}

/** Put a rejected text back unless the field is in use; return whether it is there. */
export function restore(text, reason) {
	if (field.value) return false;
	field.value = text;
	update();
	showFieldError(field, reason);
	return true;
}

const lines = () => field.value.split(/[\r\n]+/).map((line) => line.trim()).filter(Boolean);

function update() {
	const { length } = lines();
	persist(session, "add", field.value);
	updateField(field);
	addLines.hidden = length < 2;
	form.classList.toggle("lines", length > 1);
	addLines.firstElementChild.textContent = `Add ${length} todos, one per line`;
}

function submit(descriptions) {
	field.focus();
	if (descriptions.length > MAX_LINES) {
		return showFieldError(field, `Too many lines (${MAX_LINES} at most)`);
	}
	const invalid = descriptions.findIndex(validationError);
	if (invalid >= 0) {
		const line = descriptions.length > 1 ? `Line ${invalid + 1}: ` : "";
		return showFieldError(field, line + validationError(descriptions[invalid]));
	}
	add(descriptions);
	addedAt = performance.now();
	field.value = "";
	update();
	renderIfScheduled();
	if (placeOfNewTodos() === "start") scrollTo(0, 0);
}
