"""Drive Firefox by WebDriver BiDi, which Debian's Firefox speaks without a driver.

Playwright cannot drive this Firefox: it requires a patched one. The commands are described in
https://w3c.github.io/webdriver-bidi/, and the keys in https://w3c.github.io/webdriver/#keyboard-actions.
"""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

from tests.support.waiting import wait_until

FIREFOX = Path("/usr/bin/firefox-esr")
TAB, ENTER, CONTROL, ESCAPE = "\ue004", "\ue006", "\ue009", "\ue00c"
DOWN, DELETE = "\ue015", "\ue017"
PREFERENCES = {
    # Without a window, Firefox finds no mouse: a fine pointer (2) that can hover (4).
    "ui.primaryPointerCapabilities": 6,
    # The tests wait until the server has no clients.
    "network.http.keep-alive.timeout": 1,
}


class Firefox:
    """A running Firefox."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._ids = count()
        self.errors: list[str] = []
        self.command("session.new", capabilities={})
        self.command("session.subscribe", events=["log.entryAdded"])

    def command(self, method: str, **params: Any) -> dict[str, Any]:
        """Execute a command and return its result; collect the errors logged meanwhile."""
        self._socket.send(json.dumps({"id": next(self._ids), "method": method, "params": params}))
        while (message := json.loads(self._socket.recv()))["type"] == "event":
            if message["params"]["level"] == "error":
                self.errors.append(message["params"]["text"])
        assert message["type"] == "success", f"{method}: {message}"
        return message["result"]

    @contextmanager
    def tab(self) -> Iterator["Tab"]:
        """Open a tab with a storage of its own, and remove both afterwards."""
        user_context = self.command("browser.createUserContext")["userContext"]
        created = self.command("browsingContext.create", type="tab", userContext=user_context)
        yield Tab(self, created["context"])
        self.command("browser.removeUserContext", userContext=user_context)


class Tab:
    """A tab of Firefox: what a user does and sees in it."""

    def __init__(self, firefox: Firefox, context: str) -> None:
        self._firefox = firefox
        self._context = context

    def _command(self, method: str, **params: Any) -> dict[str, Any]:
        return self._firefox.command(method, context=self._context, **params)

    def open(self, url: str) -> None:
        self._command("browsingContext.navigate", url=url, wait="complete")

    def reload(self) -> None:
        self._command("browsingContext.reload", wait="complete")

    def go(self, delta: int) -> None:
        """Go back (-1) or forward (1)."""
        self._command("browsingContext.traverseHistory", delta=delta)

    def run(self, expression: str) -> Any:
        """Evaluate JavaScript, and return the value or that of the promise."""
        response = self._firefox.command(
            "script.evaluate",
            expression=f"(async () => JSON.stringify(await ({expression}) ?? null))()",
            target={"context": self._context},
            awaitPromise=True,
            userActivation=True,
        )
        assert response["type"] == "success", response
        return json.loads(response["result"]["value"])

    def press(self, *keys: str, control: bool = False) -> None:
        """Type texts or press keys, with or without Ctrl."""
        typed = [
            {"type": kind, "value": key} for key in "".join(keys) for kind in ("keyDown", "keyUp")
        ]
        if control:
            held = [{"type": kind, "value": CONTROL} for kind in ("keyDown", "keyUp")]
            typed = [held[0], *typed, held[1]]
        self._act({"type": "key", "id": "keyboard", "actions": typed})

    def click(self, role: str, name: str) -> None:
        """Click the element with this accessible role and name."""
        self._point({"type": "accessibility", "value": {"role": role, "name": name}}, clicks=1)

    def click_first(self, selector: str, clicks: int = 1) -> None:
        """Click the first element that matches a CSS selector once or twice."""
        self._point({"type": "css", "value": selector}, clicks)

    def _point(self, locator: dict, clicks: int) -> None:
        found: list[dict] = []

        def find() -> list[dict]:
            found[:] = self._command("browsingContext.locateNodes", locator=locator)["nodes"]
            return found

        wait_until(find)
        origin = {"type": "element", "element": {"sharedId": found[0]["sharedId"]}}
        move = {"type": "pointerMove", "x": 0, "y": 0, "origin": origin}
        click = [{"type": kind, "button": 0} for kind in ("pointerDown", "pointerUp")]
        self._act({"type": "pointer", "id": "mouse", "actions": [move, *click * clicks]})

    def _act(self, source: dict) -> None:
        self._command("input.performActions", actions=[source])

    def texts(self, selector: str) -> list[str]:
        """Return the texts of the visible elements that match a CSS selector."""
        return self.run(
            f"""[...document.querySelectorAll({json.dumps(selector)})]
                .filter((element) => element.checkVisibility())
                .map(({{ innerText }}) => innerText)"""
        )

    def shows(self, selector: str, *texts: str) -> None:
        """Wait until the visible elements have these texts."""
        try:
            wait_until(lambda: self.texts(selector) == list(texts), 15)
        except AssertionError:
            raise AssertionError(f"{self.texts(selector)} instead of {list(texts)}") from None


@contextmanager
def running(profile: Path) -> Iterator[Firefox]:
    """Run Firefox without a window, with a new profile in this directory."""
    lines = [f'user_pref("{name}", {value});\n' for name, value in PREFERENCES.items()]
    (profile / "user.js").write_text("".join(lines))
    address = profile / "WebDriverBiDiServer.json"
    options = ["--headless", "--remote-debugging-port=0", f"--profile={profile}"]
    with (profile / "log").open("w") as log:
        process = subprocess.Popen([FIREFOX, *options], stdout=log, stderr=log)
    try:
        wait_until(lambda: address.exists() and address.read_text().endswith("}"))
        server = json.loads(address.read_text())
        with connect(f"ws://{server['ws_host']}:{server['ws_port']}/session", proxy=None) as socket:
            yield Firefox(socket)
    finally:
        process.terminate()
        process.wait()
