// What the page takes from the browser.

export const byId = (id) => document.getElementById(id);

export const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export let local = null;
export let session = {};
try {
	local = localStorage;
	session = sessionStorage;
} catch {
	// Somebody has forbidden them.
}

/** Keep a value; without one, remove it. */
export function keep(storage, name, value) {
	try {
		if (value) storage[name] = value;
		else delete storage[name];
	} catch {
		// There is no room: it lasts as long as the page.
	}
}
