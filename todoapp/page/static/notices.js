// What the page says.

import { byId } from "./browser.js";
import { move } from "./list.js";

export function announce(message) {
	byId("status").textContent = message;
}

/** Show a message until the next, or "". */
export function banner(message) {
	const item = byId("banner");
	if (item.textContent !== message) item.textContent = message;
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
		move(0);
	};
	close.onclick = end;
	byId("notices").prepend(item);
	// Not while somebody is about to use it.
	const wait = () =>
		setTimeout(() => (item.matches(":hover, :focus-within") ? wait() : end()), 7000);
	if (!label || expired) wait();
	return item;
}
