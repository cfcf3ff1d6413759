// A todo in the list, and its editor.

import { scheduleRender, state } from "../model/state.js";
import { persist, restore, session } from "../model/storage.js";
import { rename } from "./actions.js";
import { byId } from "./dom.js";
import {
	isComposing,
	isSubmitKey,
	showFieldError,
	updateField,
	validationError,
} from "./fields.js";

const LINK = /(https?:\/\/[^\s<>"“”]*[^\s<>"“”.,:;!?)\]}'])/;

export function updateItem(item, row) {
	const { description, completed, created_at, updated_at } = row;
	if (item.row === row) return;
	const [check, text, editButton, deleteButton] = item.children;
	check.checked = completed;
	if (item.row?.description !== description) {
		check.ariaLabel = description;
		editButton.ariaLabel = `Edit: ${description}`;
		deleteButton.ariaLabel = `Delete: ${description}`;
		text.replaceChildren(...withLinks(description));
		// Screen readers have read it as the checkbox's name.
		text.ariaHidden = !text.querySelector("a");
	}
	if (created_at && item.row?.updated_at !== updated_at) {
		text.title = `Created ${localTime(created_at)}`;
		if (updated_at > created_at) text.title += `, changed ${localTime(updated_at)}`;
	}
	item.row = row;
}

const localTime = (timestamp) =>
	new Date(timestamp).toLocaleString("en", { dateStyle: "medium", timeStyle: "short" });

// Split by a group, every other part is a link.
const withLinks = (description) =>
	description.split(LINK).map((part, i) => {
		if (i % 2 === 0) return part;
		return Object.assign(document.createElement("a"), {
			href: part,
			rel: "noopener noreferrer",
			target: "_blank",
			textContent: part,
		});
	});

/** Return the edit that a reload has interrupted, {key, id, version, text}, or null. */
export function draft() {
	const stored = restore(session, "edit");
	return typeof stored?.text === "string" ? stored : null;
}

export function discardDraft() {
	persist(session, "edit");
}

/** Edit a todo in place, or continue with a draft. */
export function edit(item, { text, version } = item.row) {
	// There is one editor at a time; it stays open while its text is invalid.
	if (state.editing) return document.querySelector(".editing textarea").focus();
	// The row may have been removed since the key or click.
	if (!item.isConnected) return;
	const { key, id, description } = item.row;
	item.append(byId("editor").content.cloneNode(true));
	item.classList.add("editing");
	const field = item.querySelector("textarea");
	field.value = description;
	// The field normalises line breaks: that is not an edit.
	state.editing = { key, id, version, original: field.value };
	field.value = text ?? field.value;
	const onInput = () => {
		persist(session, "edit", JSON.stringify({ ...state.editing, text: field.value }));
		updateField(field);
	};
	onInput();
	field.oninput = onInput;
	field.onkeydown = (event) => {
		if (event.key === "Escape" && !isComposing(event)) close(item);
		else if (isSubmitKey(event)) save(item);
		else return;
		event.preventDefault();
		event.stopPropagation();
	};
	// A render that moves the item takes the focus away, and gives it back at once.
	const saveUnlessFocused = () => document.activeElement !== field && save(item);
	field.onblur = () => setTimeout(saveUnlessFocused);
	field.focus();
	field.setSelectionRange(field.value.length, field.value.length);
}

/** Edit a text that was rejected, unless another field is in use; return whether it is edited. */
export function editRejected(item, draft, reason) {
	if (state.editing || document.activeElement.matches("textarea, [type=search]")) return false;
	edit(item, draft);
	showFieldError(item.querySelector("textarea"), reason);
	return true;
}

function save(item) {
	const field = item.querySelector("textarea");
	if (!field) return;
	if (field.value !== state.editing.original) {
		const description = field.value.trim();
		const error = validationError(description);
		if (error) return showFieldError(field, error);
		rename(state.editing, description);
	}
	close(item);
}

function close(item) {
	const hadFocus = item.contains(document.activeElement);
	discardDraft();
	state.editing = null;
	// The todo may have been completed elsewhere.
	scheduleRender();
	item.classList.remove("editing");
	item.querySelector(".editor").remove();
	if (hadFocus) item.querySelector("input").focus();
}
