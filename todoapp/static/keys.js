// What the keyboard does.

import { remove, undo } from "./actions.js";
import { itemOf, move } from "./list.js";
import { edit } from "./row.js";

const [list, help, description, search] = ["todos", "help", "description", "search"].map((id) =>
	document.getElementById(id),
);

const ANYWHERE = {
	"?": () => help.showModal(),
	n: () => description.focus(),
	"/": () => search.focus(),
	z: undo,
	ArrowDown: () => move(1),
	ArrowUp: () => move(-1),
};
const IN_A_ROW = {
	Enter: ({ key }) => edit(itemOf(key)),
	Delete: remove,
	Backspace: remove,
};

export function start() {
	document.addEventListener("keydown", (event) => {
		const { key, target } = event;
		if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || help.open) return;
		if (target.matches("textarea, select, [type=search]")) {
			if (key !== "Escape" && (key !== "ArrowDown" || target.matches("select") || target.value.includes("\n"))) return;
			move(0);
		} else if (list.contains(target) && key in IN_A_ROW) {
			if (target.matches("button") && key === "Enter") return;
			IN_A_ROW[key](target.closest("li").row);
		} else if (key in ANYWHERE) {
			ANYWHERE[key]();
		} else {
			return;
		}
		event.preventDefault();
	});
	document.getElementById("keys").onclick = ANYWHERE["?"];
}
