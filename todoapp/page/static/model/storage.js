// Web Storage, which can be unavailable or full.

export let local = null;
export let session = {};
try {
	local = localStorage;
	session = sessionStorage;
} catch {
	// The browser's settings block storage: `session` lasts as long as the page.
}

/** Store a value, or remove it if it is empty; return whether it outlives the page. */
export function persist(storage, name, value) {
	try {
		if (value) storage[name] = value;
		else delete storage[name];
		return Boolean(local);
	} catch {
		// The quota is exceeded.
		return false;
	}
}

/** Return a stored JSON value, or null if there is none or it is damaged. */
export function restore(storage, name) {
	try {
		return JSON.parse(storage[name] ?? null);
	} catch {
		return null;
	}
}
