// Which open page owns a name, by the Web Locks API. There is none on plain HTTP: there, the owner
// replies to questions on a broadcast channel of that name.

import { delay } from "./api.js";

const { locks } = navigator;
const REPLY_TIMEOUT_MS = 1000;

/** Own a name for as long as the page is open. */
export function own(name) {
	if (locks) return locks.request(name, () => new Promise(() => {}));
	const channel = new BroadcastChannel(name);
	channel.onmessage = () => channel.postMessage("");
}

/** Call `task()` unless a page owns the name. */
export async function ifNotOwned(name, task) {
	if (locks) return locks.request(name, { ifAvailable: true }, (lock) => lock && task());
	const channel = new BroadcastChannel(name);
	// Of several pages that ask at the same time, the one with the smallest question calls its task.
	const question = String(Math.random());
	const reply = new Promise((resolve) => {
		channel.onmessage = ({ data }) => data < question && resolve("owned");
	});
	channel.postMessage(question);
	if (!await Promise.race([reply, delay(REPLY_TIMEOUT_MS)])) task();
	channel.close();
}
