// Keyboard shortcuts.

import { local, persist } from "../model/storage.js";
import { remove, undo } from "./actions.js";
import { byId } from "./dom.js";
import { isComposing } from "./fields.js";
import { moveFocus } from "./list.js";
import { edit } from "./row.js";

const help = byId("help");
const singleKeys = byId("single-keys");

const SHORTCUTS = {
	"?": () => help.showModal(),
	n: () => byId("description").focus(),
	"/": () => byId("search").focus(),
	z: undo,
	ArrowDown: () => moveFocus(1),
	ArrowUp: () => moveFocus(-1),
};
const removeRow = ({ row }) => remove(row);
const ROW_SHORTCUTS = { Enter: edit, Delete: removeRow, Backspace: removeRow };
// Where the slash key has no slash, as on Cyrillic layouts.
const SLASH_KEY = { ".": "/", ",": "?" };

export function start() {
	addEventListener("keydown", (event) => {
		const shortcut = shortcutOf(event);
		if (!shortcut) return;
		event.preventDefault();
		// A key that is held down must not go on deleting.
		if (!event.repeat || event.key.startsWith("Arrow")) shortcut();
	});
	byId("show-shortcuts").onclick = SHORTCUTS["?"];
	// Speech input can press single keys by accident (WCAG 2.1.4).
	singleKeys.checked = local?.singleKeys !== "off";
	singleKeys.onchange = () => persist(local, "singleKeys", singleKeys.checked ? "" : "off");
}

function shortcutOf(event) {
	const { target, altKey, ctrlKey, metaKey } = event;
	if (help.open || altKey || isComposing(event)) return null;
	const key = keyOf(event);
	const isField = target.matches("textarea, select, [type=search]");
	if (ctrlKey || metaKey) return key === "z" && !event.shiftKey && !isField && undo;
	if (isField) return key === "Escape" && (() => moveFocus(0));
	if (target.matches("li *") && key in ROW_SHORTCUTS) {
		// Enter presses a focused button, and follows a focused link.
		if (target.matches("button, a") && key === "Enter") return null;
		return () => ROW_SHORTCUTS[key](target.closest("li"));
	}
	return (key.length > 1 || singleKeys.checked) && SHORTCUTS[key];
}

/** Return a key as on a Latin layout without Caps Lock. */
function keyOf({ code, key }) {
	if (key.length > 1) return key;
	if (code === "Slash") return SLASH_KEY[key] ?? key;
	const isLatin = key < "\x7f";
	return isLatin || !code.startsWith("Key") ? key.toLowerCase() : code.at(-1).toLowerCase();
}
