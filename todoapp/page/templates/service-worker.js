// The page opens offline: this release's files come from a cache. Changes and the last list are
// kept by the page itself (net/outbox.js, net/sync.js).

const CACHE = {{ version | tojson }};
const FILES = {{ files | tojson }};

addEventListener("install", (event) => event.waitUntil(fill().then(skipWaiting)));

addEventListener("activate", (event) => event.waitUntil(removeOthers()));

addEventListener("fetch", (event) => {
	const { mode, url } = event.request;
	const { pathname } = new URL(url);
	if (pathname === "/logout") event.waitUntil(caches.delete(CACHE));
	if (mode === "navigate" && pathname === "/") event.respondWith(page(event.request));
	if (FILES.includes(pathname)) event.respondWith(file(event.request));
});

async function fill() {
	await (await caches.open(CACHE)).addAll(["/", ...FILES]);
}

async function removeOthers() {
	const names = await caches.keys();
	await Promise.all(names.filter((name) => name !== CACHE).map((name) => caches.delete(name)));
	await clients.claim();
}

// From the network whenever it responds, so that a new release takes over at once.
async function page(request) {
	const response = await fetch(request).catch(() => Response.error());
	if (response.status === 401) await caches.delete(CACHE);
	else if (response.ok && !await caches.has(CACHE)) fill();
	const isOutage = response.type === "error" || response.status >= 500;
	return isOutage && await cachedPage() || response;
}

async function cachedPage() {
	const cached = await caches.match("/", { ignoreVary: true });
	if (!cached) return null;
	// Browsers preload what a Link header names from the network, even where a cache has it.
	const headers = new Headers(cached.headers);
	headers.delete("Link");
	return new Response(cached.body, { headers });
}

async function file(request) {
	// The files are the same whatever a request's headers are.
	return await caches.match(request, { ignoreVary: true }) ?? fetch(request);
}
