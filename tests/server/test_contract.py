"""Run the API tests over HTTP, with server.worker and with gunicorn's gthread worker.

The application must not depend on server/.
"""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from tests.api.test_routes import *  # noqa: F403
from tests.support.types import Sql
from tests.support.web import PROCFILE, WebProcess, serving


class Response:
    """Adapts requests.Response to the interface of Flask's TestResponse."""

    def __init__(self, response: requests.Response) -> None:
        self.status_code = response.status_code
        self.headers = response.headers
        self.data = response.content
        self.get_json = response.json


class HTTPClient:
    """Adapts a requests session to the interface of Flask's test client."""

    def __init__(self, web: WebProcess) -> None:
        self.web = web
        self.session = requests.Session()
        self.get = functools.partial(self.open, method="GET")
        self.post = functools.partial(self.open, method="POST")
        self.patch = functools.partial(self.open, method="PATCH")
        self.delete = functools.partial(self.open, method="DELETE")

    def open(
        self, path: str, *, method: str, content_type: str | None = None, **body: Any
    ) -> Response:
        headers = {"Content-Type": content_type} if content_type else {}
        url = self.web.url(path)
        return Response(self.session.request(method, url, headers=headers, timeout=30, **body))


@pytest.fixture(scope="module")
def database(databases: Callable[..., str], template: str) -> str:
    return databases(template)


@pytest.fixture(
    scope="module",
    params=[PROCFILE["web"], "gunicorn --worker-class gthread wsgi:app"],
    ids=["server.worker", "gthread"],
)
def web(database: str, request: pytest.FixtureRequest) -> Iterator[WebProcess]:
    with serving(request.param, DATABASE_URL=database) as process:
        yield process


@pytest.fixture
def client(web: WebProcess, sql: Sql) -> Iterator[HTTPClient]:
    client = HTTPClient(web)
    with client.session:
        yield client
    sql("TRUNCATE todos RESTART IDENTITY")
