// Web Storage, which can be unavailable or full.

export let local = null;
export let session = {};
try {
	local = localStorage;
	session = sessionStorage;
} catch {
	// The browser's settings block storage: `session` lasts as long as the page.
}

/** Store a value, or remove it if it is empty. */
export function persist(storage, name, value) {
	try {
		if (value) storage[name] = value;
		else delete storage[name];
	} catch {
		// The quota is exceeded: the value lasts as long as the page.
	}
}
