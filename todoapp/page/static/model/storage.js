// The storages of the browser, which may be forbidden or full.

export let local = null;
export let session = {};
try {
	local = localStorage;
	session = sessionStorage;
} catch {
	// They are forbidden.
}

/** Keep a value; without one, remove it. */
export function keep(storage, name, value) {
	try {
		if (value) storage[name] = value;
		else delete storage[name];
	} catch {
		// No room: it lasts as long as the page.
	}
}
