// Messages to the user.

import { byId } from "./dom.js";

const DURATION_MS = 7000;

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
	if (banner.textContent !== text) setBanner(text);
}

function setBanner(content) {
	const notices = byId("notices");
	byId("banner").replaceChildren(content);
	// Keep the banner in its place when a message below it disappears.
	notices.style.minHeight = "";
	if (content) notices.style.minHeight = `${notices.offsetHeight}px`;
}

function outlook(areChangesKept) {
	if (!areChangesKept) return "Trying again; keep this page open until your changes are saved.";
	return navigator.onLine
		? "Trying again; your changes are kept."
		: "Changes are saved here and sent later.";
}

function showSignedOut(banner, areChangesKept) {
	if (!banner.querySelector("a")) setBanner(byId("signed-out").content.cloneNode(true));
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
 * A message with a button stays until it is closed, unless `onExpired` is given: that is called
 * when the message disappears and the button has not been pressed.
 */
export function showNotice(message, { label = "", action, onExpired } = {}) {
	const notice = byId("notice").content.cloneNode(true).firstElementChild;
	const [text, button, close] = notice.children;
	const expire = () => {
		if (notice.isConnected) onExpired?.();
		notice.remove();
	};
	// What is quoted must not change the direction of the text around it.
	text.append(...message.split(/(?<=“)(.*)(?=”)/s).map((part, i) => i % 2 ? isolated(part) : part));
	button.textContent = label;
	button.hidden = !label;
	button.onclick = () => {
		notice.remove();
		action();
		restoreFocus();
	};
	close.onclick = expire;
	byId("banner").after(notice);
	notice.classList.toggle("expires", !label || Boolean(onExpired));
	// Not while the user is about to press a button.
	const isInUse = () => notice.matches(":hover, :focus-within");
	const expireLater = () => setTimeout(() => isInUse() ? expireLater() : expire(), DURATION_MS);
	if (!label || onExpired) expireLater();
	return notice;
}

const isolated = (text) => Object.assign(document.createElement("bdi"), { textContent: text });
