// What the text fields for descriptions have in common.

import { counterText } from "../model/description.js";

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
	field.parentElement.querySelector(".count").textContent = counterText(field.value.trim());
	showFieldError(field, "");
	// Firefox and Safari 17 have no `field-sizing`.
	if (CSS.supports("field-sizing", "content")) return;
	field.style.height = "auto";
	field.style.height = `${field.scrollHeight + field.offsetHeight - field.clientHeight}px`;
}
