// A long list in chunks: the browser need not lay out and paint those that are far from the view.
// Unlike a list that contains only what is near, find-in-page and screen readers find every item.

const CHUNK_SIZE = 50;

let width = innerWidth;

/** Put the items into a list in their order. Other items stay; as few as possible are moved. */
export function arrange(list, items) {
	// The first one is where new todos appear, the last one where more are loaded.
	for (const chunk of [...list.children].slice(1, -1)) chunk.classList.add("laid-out");
	const wanted = new Set(items);
	let next = firstFrom(list.firstElementChild);
	let previous = null;
	for (const item of items) {
		while (next && !wanted.has(next)) next = following(next);
		if (item === next) next = following(item);
		else insert(list, item, previous, next);
		previous = item;
	}
	for (const chunk of [...list.children]) if (!chunk.firstElementChild) chunk.remove();
}

function insert(list, item, previous, next) {
	if (previous?.parentElement.childElementCount < CHUNK_SIZE) previous.after(item);
	else if (next) next.before(item);
	else list.append(chunkOf(item));
	item.parentElement.classList.remove("laid-out");
}

// What is in the list is the items: the chunks mean nothing.
function chunkOf(item) {
	const chunk = Object.assign(document.createElement("ul"), { role: "none" });
	chunk.append(item);
	return chunk;
}

function firstFrom(chunk) {
	while (chunk && !chunk.firstElementChild) chunk = chunk.nextElementSibling;
	return chunk?.firstElementChild;
}

const following = (item) =>
	item.nextElementSibling ?? firstFrom(item.parentElement.nextElementSibling);

/** Return the first item of the lists that is visible below a vertical position on the screen, if any. */
export function firstBelow(y, lists) {
	const isBelow = (element) => element.getBoundingClientRect().bottom > y;
	const chunk = lists.flatMap(({ children }) => [...children]).find(isBelow);
	return chunk && [...chunk.children].find(isBelow);
}

// A skipped chunk has the height that it had when it was laid out, at the width of that time.
addEventListener("resize", () => {
	if (width === innerWidth) return;
	width = innerWidth;
	for (const chunk of document.querySelectorAll(".laid-out")) chunk.classList.remove("laid-out");
});
