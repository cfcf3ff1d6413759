// The field for new todos, and what a description has to be.

import { render } from "../model/state.js";
import { keep, session } from "../model/storage.js";
import { add } from "./actions.js";
import { byId } from "./dom.js";

const LENGTH = Number(document.documentElement.dataset.length);

const form = byId("compose");
const field = byId("description");
const offer = byId("offer");

/** Return what is wrong with a description, or "". */
export function problem(description) {
	if (!description) return "A todo needs some words.";
	const over = -spare(description);
	return over > 0 ? `Too long by ${over}: ${LENGTH} characters are the most.` : "";
}

export function room(description) {
	return spare(description) <= 50 ? spare(description) : "";
}

// In code points, as the server counts.
const spare = (description) => LENGTH - [...description].length;

export function complain(input, message) {
	input.parentElement.querySelector(".error").textContent = message;
	input.ariaInvalid = Boolean(message);
	input.ariaDescription = message;
}

// Not the one that ends a composition (of Japanese, say).
export const isEnter = (event) => event.key === "Enter" && !event.shiftKey && !event.isComposing;

/** Begin, with what was typed before a reload. */
export function start() {
	field.value = session.add ?? "";
	show();
	field.oninput = show;
	field.onkeydown = (event) => {
		if (!isEnter(event)) return;
		event.preventDefault();
		form.requestSubmit();
	};
	form.onsubmit = (event) => {
		event.preventDefault();
		submit(event.submitter?.parentElement === offer ? lines() : [field.value.trim()]);
	};
}

const lines = () => field.value.split(/[\r\n]+/).map((line) => line.trim()).filter(Boolean);

function show() {
	const { length } = lines();
	keep(session, "add", field.value);
	form.querySelector(".count").textContent = room(field.value.trim());
	complain(field, "");
	offer.hidden = length < 2;
	offer.firstElementChild.textContent = `Add ${length} todos, one a line`;
}

function submit(descriptions) {
	field.focus();
	const line = descriptions.findIndex(problem);
	if (descriptions.length > 1000) return complain(field, "More than 1000 lines.");
	if (line >= 0) {
		const where = descriptions.length > 1 ? `Line ${line + 1}: ` : "";
		return complain(field, where + problem(descriptions[line]));
	}
	add(descriptions);
	field.value = "";
	show();
	render();
	scrollTo(0, 0);
}
