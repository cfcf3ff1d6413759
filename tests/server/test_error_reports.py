"""docs/operations.md, "Error reports": Sentry receives errors, but not what people wrote."""

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import brotli
import pytest

from tests.support.types import Sql
from tests.support.waiting import wait_until
from tests.support.web import ROOT, serving

CODE = re.compile(r"```python\n# reported\.py\n(.*?)```", re.DOTALL)


class Sentry(ThreadingHTTPServer):
    """Collects the events that it receives."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.events: list[str] = []

    @property
    def dsn(self) -> str:
        return f"http://key@127.0.0.1:{self.server_port}/1"


class Handler(BaseHTTPRequestHandler):
    """Receives an envelope: lines of JSON, https://develop.sentry.dev/sdk/data-model/envelopes/."""

    server: Sentry

    def do_POST(self) -> None:  # http.server's name
        # Compressed like this because the service has the package, for its page.
        body = brotli.decompress(self.rfile.read(int(self.headers["Content-Length"])))
        _, *items = body.decode().splitlines()
        for head, item in zip(items[::2], items[1::2], strict=True):
            if json.loads(head)["type"] == "event":
                self.server.events.append(item)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Be silent."""


@pytest.fixture
def sentry() -> Iterator[Sentry]:
    """A server in place of Sentry's."""
    with Sentry() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_errors_are_reported_without_what_people_wrote(
    database: str, sql: Sql, sentry: Sentry, tmp_path: Path
) -> None:
    found = CODE.search((ROOT / "docs" / "operations.md").read_text())
    assert found
    (tmp_path / "reported.py").write_text(found[1])
    sql("ALTER TABLE todos ADD CONSTRAINT rejection CHECK (description <> 'Secret plan')")
    command = f"gunicorn --pythonpath {tmp_path} reported:app"
    with serving(command, DATABASE_URL=database, SENTRY_DSN=sentry.dsn) as web:
        assert (
            web.request("POST", "/api/todos", json={"description": "Secret plan"}).status_code
            == 500
        )
        sql("DROP FUNCTION todo_search_query CASCADE")
        assert web.request("GET", "/api/todos?search=secret&limit=9").status_code == 500
        wait_until(lambda: len(sentry.events) == 2)

    for event, route in zip(sentry.events, ("create_todo", "list_todos"), strict=True):
        assert f"todos.{route}" in event
        assert "Database: " in event
        assert "secret" not in event.lower()
