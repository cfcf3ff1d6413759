// Keyboard shortcuts.

import { remove, undo } from "./actions.js";
import { byId } from "./dom.js";
import { moveFocus } from "./list.js";
import { edit } from "./row.js";

const help = byId("help");

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

export function start() {
	addEventListener("keydown", (event) => {
		const { key, target } = event;
		if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || help.open) return;
		if (target.matches("textarea, select, [type=search]")) {
			if (key !== "Escape") return;
			moveFocus(0);
		} else if (target.matches("li *") && key in ROW_SHORTCUTS) {
			// Enter presses a focused button.
			if (target.matches("button") && key === "Enter") return;
			ROW_SHORTCUTS[key](target.closest("li"));
		} else if (key in SHORTCUTS) {
			SHORTCUTS[key]();
		} else {
			return;
		}
		event.preventDefault();
	});
	byId("show-shortcuts").onclick = SHORTCUTS["?"];
}
