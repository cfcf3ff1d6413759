// Marks the words of a search in the descriptions.

// In other scripts, a search finds words within a sentence.
const HAS_SPACES = /^[\p{sc=Latn}\p{sc=Cyrl}\p{sc=Grek}\p{N}]/u;

/**
 * Mark the words of `search` in these items, in browsers with CSS highlights.
 *
 * Thousands of ranges would slow down all changes of the page.
 */
export function highlight(items, search = "") {
	if (!CSS.highlights) return;
	const words = search.split(/\s+/).filter(Boolean).map(patternOf);
	CSS.highlights.set("search", new Highlight(...(words.length ? rangesOf(items, words) : [])));
}

function patternOf(word) {
	const escaped = word.replace(/[\\^$.*+?()[\]{}|/-]/g, (character) => `\\${character}`);
	return HAS_SPACES.test(word) ? `(?<![\\p{L}\\p{N}])${escaped}` : escaped;
}

function* rangesOf(items, words) {
	const pattern = new RegExp(words.join("|"), "giu");
	for (const node of items.flatMap(textNodes)) {
		for (const { 0: found, index } of node.data.matchAll(pattern)) {
			const range = new Range();
			range.setStart(node, index);
			range.setEnd(node, index + found.length);
			yield range;
		}
	}
}

// Also those of links.
const textNodes = (item) =>
	[...item.querySelectorAll(".text, .text a")].flatMap(({ childNodes }) =>
		[...childNodes].filter(({ nodeType }) => nodeType === Node.TEXT_NODE)
	);
