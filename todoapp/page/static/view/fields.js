// What the text fields for descriptions have in common.

/** Show an error at a field; "" removes it. */
export function showFieldError(field, message) {
	field.parentElement.querySelector(".error").textContent = message;
	field.ariaInvalid = Boolean(message);
	field.ariaDescription = message;
}

/** Whether a key press submits the field. Enter can also end the composition of a character. */
export const isSubmitKey = (event) =>
	event.key === "Enter" && !event.shiftKey && !event.isComposing;
