// What the page says: what was done, and that the server is away.

const SECONDS = 7;

const [notices, status, bar, template] = ["notices", "status", "banner", "notice"].map((id) =>
	document.getElementById(id),
);

/** Tell who cannot see it. */
export function announce(message) {
	status.textContent = message;
}

/** Show a message until there is another one, or "". */
export function banner(message) {
	if (bar.textContent !== message) bar.textContent = message;
}

/** Show a message for some seconds, or lasting, with a button. `expired`: nobody used it. */
export function notice(message, { label, action, lasting, expired } = {}) {
	const item = template.content.cloneNode(true).firstElementChild;
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
	};
	close.onclick = end;
	notices.append(item);
	if (!lasting) endLater(item, end);
	return item;
}

// Not while somebody is about to use it.
function endLater(item, end) {
	const wait = () => (item.matches(":hover, :focus-within") ? endLater(item, end) : end());
	setTimeout(wait, SECONDS * 1000);
}
