// What the page says.

import { byId } from "./dom.js";

let restoreFocus;

/** Call `focus()` when the button with the focus disappears. */
export function start(focus) {
	restoreFocus = focus;
}

export function announce(message) {
	byId("status").textContent = message;
}

/** Show that the server is unavailable, until it is called with "". */
export function banner(message) {
	const item = byId("banner");
	const text = message && `${message}. Trying again; your changes are kept.`;
	if (item.textContent !== text) item.textContent = text;
}

/** Show a message for some seconds; one with a button lasts, unless `expired` says what then. */
export function notice(message, label, action, expired) {
	const item = byId("notice").content.cloneNode(true).firstElementChild;
	const [text, act, close] = item.children;
	const end = () => {
		if (item.isConnected) expired?.();
		item.remove();
	};
	text.textContent = message;
	act.textContent = label;
	act.hidden = !label;
	act.onclick = () => {
		item.remove();
		action();
		restoreFocus();
	};
	close.onclick = end;
	byId("notices").prepend(item);
	// Not while somebody is about to use it.
	const wait = () =>
		setTimeout(() => (item.matches(":hover, :focus-within") ? wait() : end()), 7000);
	if (!label || expired) wait();
	return item;
}
