// Messages to the user.

import { byId } from "./dom.js";

const DURATION_MS = 7000;
const MAX_NAMES = 10;

// The messages about rejected changes by reason and label: {notice, names, actions}.
const failures = new Map();

let restoreFocus;

/** Call `focus()` when a message disappears with the focused button. */
export function start(focus) {
	restoreFocus = focus;
}

/** Let screen readers say a message. */
export function announce(message) {
	byId("status").textContent = message;
}

/** Show that the server is unavailable or the user is signed out, until the next call with "". */
export function showOutage(message, isSignedOut, areChangesKept) {
	const banner = byId("banner");
	if (isSignedOut) return showSignedOut(banner, areChangesKept);
	const text = message && `${message}. ${outlook(areChangesKept)}`;
	// Setting the same text again would make a screen reader repeat it.
	if (banner.textContent !== text) banner.textContent = text;
}

function outlook(areChangesKept) {
	if (!areChangesKept) return "Trying again; keep this page open until your changes are saved.";
	return navigator.onLine
		? "Trying again; your changes are kept."
		: "Changes are saved here and sent later.";
}

function showSignedOut(banner, areChangesKept) {
	if (!banner.querySelector("a")) {
		banner.replaceChildren(byId("signed-out").content.cloneNode(true));
	}
	const [link, fate] = banner.children;
	const next = encodeURIComponent(location.pathname + location.search);
	link.href = `/login?next=${next}`;
	link.target = areChangesKept ? "" : "_blank";
	fate.textContent = areChangesKept
		? "; your changes are kept."
		: " in another tab, and keep this page open until your changes are saved.";
}

/**
 * Show a message for a few seconds; return its element.
 *
 * With a button, it stays until it is closed, unless `onExpired` is given: that is called if it
 * disappears without the button being pressed. `closeLabel` says what closing means.
 */
export function showNotice(message, { label = "", action, onExpired, closeLabel } = {}) {
	const notice = byId("notice").content.cloneNode(true).firstElementChild;
	const [text, button, close] = notice.children;
	const expire = () => {
		if (notice.isConnected) onExpired?.();
		notice.remove();
	};
	text.append(...withIsolatedQuote(message));
	button.textContent = label;
	button.hidden = !label;
	button.onclick = () => {
		notice.remove();
		action();
		restoreFocus();
	};
	close.onclick = expire;
	if (closeLabel) Object.assign(close, { ariaLabel: null, textContent: closeLabel });
	byId("banner").after(notice);
	if (label && !onExpired) return notice;
	notice.classList.add("expires");
	let timer;
	// Not while the user is about to press a button. After that, the time starts again.
	const expireLater = () => {
		clearTimeout(timer);
		const isInUse = () => notice.matches(":hover, :focus-within");
		timer = setTimeout(() => isInUse() ? expireLater() : expire(), DURATION_MS);
	};
	for (const type of ["mouseleave", "focusout"]) notice.addEventListener(type, expireLater);
	expireLater();
	return notice;
}

/**
 * Show why a change of the todo `name` was rejected, and a button that calls `action()`.
 *
 * Changes that are rejected for the same reason share a message and its button.
 */
export function showFailure(reason, name, { label, action, closeLabel } = {}) {
	const cause = `${reason} ${label}`;
	const known = failures.get(cause);
	const shown = known?.notice.isConnected ? known : { names: [], actions: [] };
	if (name && !shown.names.includes(name)) shown.names.push(name);
	shown.actions.push(action);
	failures.set(cause, shown);
	const runAll = () => shown.actions.forEach((each) => each());
	shown.notice ??= showNotice("", { label, action: runAll, closeLabel });
	const [text, button] = shown.notice.children;
	text.replaceChildren(
		"Couldn't save",
		...listOf(shown.names),
		...withIsolatedQuote(`: ${reason}`),
	);
	if (shown.actions.length > 1) button.textContent = "Try again";
}

function* listOf(names) {
	const rest = names.length - MAX_NAMES;
	const shown = names.slice(0, MAX_NAMES).concat(rest > 0 ? `${rest} more` : []);
	if (shown.length) yield " ";
	for (const { type, value } of new Intl.ListFormat("en").formatToParts(shown)) {
		yield type === "element" ? isolated(value) : value;
	}
}

// What is quoted must not change the direction of the text around it.
const withIsolatedQuote = (message) =>
	message.split(/(?<=“)(.*)(?=”)/s).map((part, i) => i % 2 ? isolated(part) : part);

const isolated = (text) => Object.assign(document.createElement("bdi"), { textContent: text });
