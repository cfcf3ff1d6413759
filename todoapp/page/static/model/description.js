// The rules for a description.

const MAX_LENGTH = Number(document.documentElement.dataset.length);
const COUNTER_THRESHOLD = 50;

/** Return why a description is invalid, or "". */
export function validationError(description) {
	if (!description) return "Type something first";
	const excess = -unusedCharacters(description);
	if (excess <= 0) return "";
	return `${excess} ${excess === 1 ? "character" : "characters"} too long (${MAX_LENGTH} at most)`;
}

/** Return how many characters can still be typed, or "" while there is plenty of room. */
export function counterText(description) {
	const unused = unusedCharacters(description);
	return unused <= COUNTER_THRESHOLD ? unused : "";
}

// In code points, as the server counts.
const unusedCharacters = (description) => MAX_LENGTH - [...description].length;
