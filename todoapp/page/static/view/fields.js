// What the text fields for descriptions have in common, and the rules for a description.

const MAX_LENGTH = Number(document.documentElement.dataset.length);
const COUNTER_THRESHOLD = 50;

/** Return why a description is invalid, or "". */
export function validationError(description) {
	if (!description) return "Type something first";
	const excess = -unusedCharacters(description);
	if (excess <= 0) return "";
	return `${excess} ${excess === 1 ? "character" : "characters"} too long (${MAX_LENGTH} at most)`;
}

// In code points, as the server counts.
const unusedCharacters = (description) => MAX_LENGTH - [...description].length;

/** Show an error at a field; "" removes it. */
export function showFieldError(field, message) {
	field.parentElement.querySelector(".error").textContent = message;
	field.ariaInvalid = Boolean(message);
	field.ariaDescription = message;
}

/**
 * Whether an input method handles a key press.
 *
 * Safari and Fcitx send the key that ends the composition after its end, with the key code 229:
 * https://www.w3.org/TR/uievents/#determine-keydown-keyup-keyCode
 */
export const isComposing = (event) => event.isComposing || event.keyCode === 229;

/** Whether a key press submits the field. */
export const isSubmitKey = (event) =>
	event.key === "Enter" && !event.shiftKey && !isComposing(event);

/** Show how much can still be typed, all that has been typed, and no error. */
export function updateField(field) {
	const unused = unusedCharacters(field.value.trim());
	const isFull = unused <= COUNTER_THRESHOLD;
	field.parentElement.querySelector(".count").textContent = isFull ? unused : "";
	showFieldError(field, "");
	// Firefox and Safari 17 have no `field-sizing`.
	if (CSS.supports("field-sizing", "content")) return;
	field.style.height = "auto";
	field.style.height = `${field.scrollHeight + field.offsetHeight - field.clientHeight}px`;
}
