// Marks the words of a search in the descriptions.

// In other scripts, a search finds words within a sentence.
const HAS_SPACES = /^[\p{sc=Latn}\p{sc=Cyrl}\p{sc=Grek}\p{N}]/u;

/** Mark the words of `search` below `root`, in browsers with CSS highlights. */
export function highlight(root, search = "") {
	if (!CSS.highlights) return;
	const words = search.split(/\s+/).filter(Boolean).map(patternOf);
	CSS.highlights.set("search", new Highlight(...(words.length ? rangesOf(root, words) : [])));
}

function patternOf(word) {
	const escaped = word.replace(/[\\^$.*+?()[\]{}|/-]/g, (character) => `\\${character}`);
	return HAS_SPACES.test(word) ? `(?<![\\p{L}\\p{N}])${escaped}` : escaped;
}

function* rangesOf(root, words) {
	const pattern = new RegExp(words.join("|"), "giu");
	const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
	while (walker.nextNode()) {
		const node = walker.currentNode;
		for (const { 0: found, index } of node.data.matchAll(pattern)) {
			const range = new Range();
			range.setStart(node, index);
			range.setEnd(node, index + found.length);
			yield range;
		}
	}
}
