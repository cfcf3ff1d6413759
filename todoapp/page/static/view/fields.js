// What the text fields for descriptions have in common.

/** Show an error at a field; "" removes it. */
export function showFieldError(field, message) {
	field.parentElement.querySelector(".error").textContent = message;
	field.ariaInvalid = Boolean(message);
	field.ariaDescription = message;
}

/**
 * Whether a key press belongs to an input method, which composes a character.
 *
 * Safari and Fcitx send the key that ends the composition after its end, with the key code 229:
 * https://www.w3.org/TR/uievents/#determine-keydown-keyup-keyCode
 */
export const isComposing = (event) => event.isComposing || event.keyCode === 229;

/** Whether a key press submits the field. */
export const isSubmitKey = (event) =>
	event.key === "Enter" && !event.shiftKey && !isComposing(event);

/** Let a field grow with its text, in browsers without `field-sizing` (Firefox, Safari 17). */
export function fitHeight(field) {
	if (CSS.supports("field-sizing", "content")) return;
	field.style.height = "auto";
	field.style.height = `${field.scrollHeight + field.offsetHeight - field.clientHeight}px`;
}
