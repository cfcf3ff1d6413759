// What the keyboard does.

import { remove, undo } from "./actions.js";
import { byId } from "./dom.js";
import { move } from "./list.js";
import { edit } from "./row.js";

const help = byId("help");

const ANYWHERE = {
	"?": () => help.showModal(),
	n: () => byId("description").focus(),
	"/": () => byId("search").focus(),
	z: undo,
	ArrowDown: () => move(1),
	ArrowUp: () => move(-1),
};
const removeRow = ({ row }) => remove(row);
const IN_A_ROW = { Enter: edit, Delete: removeRow, Backspace: removeRow };

export function start() {
	addEventListener("keydown", (event) => {
		const { key, target } = event;
		if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || help.open) return;
		if (target.matches("textarea, select, [type=search]")) {
			if (key !== "Escape") return;
			move(0);
		} else if (target.matches("li *") && key in IN_A_ROW) {
			if (target.matches("button") && key === "Enter") return;
			IN_A_ROW[key](target.closest("li"));
		} else if (key in ANYWHERE) {
			ANYWHERE[key]();
		} else {
			return;
		}
		event.preventDefault();
	});
	byId("keys").onclick = ANYWHERE["?"];
}
