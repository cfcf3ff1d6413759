"""The page at / and its static files: versions, caching and compression."""

import gzip
import mimetypes
import re
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from posixpath import dirname, normpath

import brotli
import pytest
from flask import Flask, url_for
from flask.testing import FlaskClient

from tests.api.test_access_control import TOKEN, sign_in
from tests.support.web import WebProcess
from todoapp.page.views import read, version_of
from todoapp.todos.models import DESCRIPTION_LENGTH

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

DECODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress,
    "br": brotli.decompress,
    "zstd": zstd.decompress,
    "deflate": zlib.decompress,
}
OTHER_VERSION = "/static/0123456789abcdef/main.js"
NOT_FOUND = {"detail": "Not found"}
SCRIPT_TYPES = ("text/javascript", "application/javascript")  # the second is Python 3.11's


@pytest.fixture
def script(app: Flask) -> str:
    """The URL of a file of the current version."""
    with app.test_request_context():
        return url_for("static", filename="main.js")


@pytest.fixture(params=["the page", "a file", "a file of another release"])
def path(request: pytest.FixtureRequest, script: str) -> str:
    """A URL of each kind."""
    return {"the page": "/", "a file": script}.get(request.param, OTHER_VERSION)


@pytest.fixture
def wrong_media_types(tmp_path: Path) -> Iterator[None]:
    """A machine whose table of media types is wrong."""
    table = tmp_path / "mime.types"
    table.write_text("text/plain js css html\n")
    mimetypes.init([str(table)])
    assert mimetypes.guess_type("main.js") == ("text/plain", None)
    yield
    mimetypes.init()


# The page


def test_page_has_the_api_path_and_the_maximum_description_length(
    client: FlaskClient,
) -> None:
    response = client.get("/")

    assert (response.status_code, response.mimetype) == (200, "text/html")
    html = re.search(r"<html[^>]*>", response.text)
    assert html is not None
    assert 'data-api="/api/todos"' in html[0]
    assert f'data-length="{DESCRIPTION_LENGTH}"' in html[0]


def test_page_loads_only_files_from_its_own_origin(client: FlaskClient) -> None:
    page = client.get("/").text

    urls = re.findall(r'<(?:link|script|img)[^>]* (?:href|src)="([^"]+)"', page)
    assert len(urls) >= 2
    for url in urls:
        assert url.startswith("/")
        with client.get(url) as response:
            assert response.status_code == 200
    assert not re.search(r"<style|style=|<script>|<script(?![^>]* src=)| on\w+=", page)


def test_link_header_preloads_every_module(client: FlaskClient, script: str) -> None:
    folder = script.removesuffix("main.js")

    links = client.get("/").headers["Link"]

    known, found = set[str](), {"main.js"}
    while found - known:
        name = (found - known).pop()
        known.add(name)
        imports = re.findall(r' from "([^"]+)"', client.get(folder + name).text)
        found |= {normpath(f"{dirname(name)}/{path}").lstrip("/") for path in imports}
    named = re.findall(r"<([^>]+)>; rel=modulepreload", links)
    assert sorted(named) == [folder + name for name in sorted(known)]


def test_page_is_not_in_the_openapi_document(client: FlaskClient) -> None:
    documented = client.get("/openapi.json").get_json()["paths"]

    assert not [path for path in documented if not path.startswith(("/api/", "/health"))]


# Versions


def test_file_of_the_current_version_is_immutable(client: FlaskClient, script: str) -> None:
    headers = client.get(script).headers

    assert headers["Cache-Control"] == "public, max-age=31536000, immutable"


def test_file_of_another_version_is_served_with_revalidation(
    client: FlaskClient, script: str
) -> None:
    response = client.get(OTHER_VERSION)

    assert response.headers["Cache-Control"] == "no-cache"
    assert response.data == client.get(script).data


def test_all_files_share_one_versioned_folder(app: Flask, client: FlaskClient, script: str) -> None:
    folder = script.removesuffix("main.js")

    for filename, content in read(Path(app.root_path, "static")).items():
        response = client.get(folder + filename)
        assert response.data == content
        assert "immutable" in response.headers["Cache-Control"]


@pytest.mark.parametrize(
    "others",
    [
        {"a.js": b"1", "b.js": b"3"},
        {"a.js": b"1", "c.js": b"2"},
        {"a.js": b"2", "b.js": b"1"},
        {"a.js": b"1"},
        {"a.js": b"1", "b.js": b"2", "icons/c.svg": b""},
    ],
)
def test_version_changes_with_any_name_and_any_byte(others: dict[str, bytes]) -> None:
    files = {"a.js": b"1", "b.js": b"2"}

    assert version_of(others) != version_of(files)
    assert version_of(dict(reversed(files.items()))) == version_of(files)


def test_two_processes_give_a_file_the_same_url(
    make_app: Callable[..., Flask], script: str
) -> None:
    client = make_app(DATABASE_URL="postgresql://db/todos").test_client()

    assert script in client.get("/").text


# Requests


@pytest.mark.parametrize(
    "filename",
    [
        *("nowhere.js", "main.js/", "", ".", "..", "../page.py", "%2e%2e/page.py", "main.js%00"),
        *("../static/main.js", "//etc/passwd", "/etc/passwd", "%FF", "Main.js"),
    ],
)
def test_unknown_file_is_not_found(client: FlaskClient, script: str, filename: str) -> None:
    for version in (script.removesuffix("main.js"), "/static/0123456789abcdef/"):
        response = client.get(version + filename)

        assert (response.status_code, response.get_json()) == (404, NOT_FOUND)
        assert "Cache-Control" not in response.headers


def test_file_without_a_version_is_not_found(client: FlaskClient) -> None:
    for path in ("/static/main.js", "/static/", "/static", "/page.html"):
        assert client.get(path).get_json() == NOT_FOUND


@pytest.mark.parametrize("coding", ["", *DECODERS])
def test_head_returns_the_headers_of_get(client: FlaskClient, path: str, coding: str) -> None:
    with_get = client.get(path, headers={"Accept-Encoding": coding})
    with_head = client.head(path, headers={"Accept-Encoding": coding})

    assert with_head.data == b""
    for headers in (with_get.headers, with_head.headers):
        del headers["X-Request-ID"]
    assert with_head.headers == with_get.headers


def test_other_methods_are_rejected_in_json(client: FlaskClient, path: str) -> None:
    response = client.post(path, data="x")

    assert (response.status_code, response.get_json()) == (405, {"detail": "Method not allowed"})
    assert set(response.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}


@pytest.mark.usefixtures("wrong_media_types")
def test_media_types_do_not_depend_on_the_machine(
    make_app: Callable[..., Flask],
) -> None:
    client = make_app(DATABASE_URL="postgresql://db/todos").test_client()

    assert client.get(OTHER_VERSION).mimetype in SCRIPT_TYPES
    assert client.get(OTHER_VERSION.replace("main.js", "page.css")).mimetype == "text/css"


# Compression


@pytest.mark.parametrize("coding", DECODERS)
def test_response_is_compressed_as_the_client_accepts(
    client: FlaskClient, path: str, coding: str
) -> None:
    plain = client.get(path)
    compressed = client.get(path, headers={"Accept-Encoding": coding})

    assert "Content-Encoding" not in plain.headers
    assert compressed.headers["Content-Encoding"] == coding
    assert DECODERS[coding](compressed.data) == plain.data
    assert int(compressed.headers["Content-Length"]) == len(compressed.data) < len(plain.data)
    assert compressed.headers["Content-Type"] == plain.headers["Content-Type"]


def test_page_of_a_session_is_compressed_apart_from_the_page_of_a_token(
    make_app: Callable[..., Flask],
) -> None:
    app = make_app(DATABASE_URL="postgresql://db/todos", ACCESS_TOKEN=TOKEN)
    client, browser = app.test_client(), app.test_client()
    sign_in(browser)
    headers = {"Accept-Encoding": "br"}

    pages = [
        brotli.decompress(response.data)
        for _ in range(2)
        for response in (
            client.get("/", headers=headers | {"Authorization": f"Bearer {TOKEN}"}),
            browser.get("/", headers=headers),
        )
    ]

    assert [b"Sign out" in page for page in pages] == [False, True, False, True]


@pytest.mark.parametrize("accepted", ["", "identity", "compress", "identity;q=1, *;q=0"])
def test_response_is_not_compressed_if_the_client_does_not_accept_it(
    client: FlaskClient, path: str, accepted: str
) -> None:
    response = client.get(path, headers={"Accept-Encoding": accepted})

    assert response.status_code == 200
    assert "Content-Encoding" not in response.headers


@pytest.mark.parametrize("coding", ["", *DECODERS])
def test_vary_names_encoding_and_origin(client: FlaskClient, path: str, coding: str) -> None:
    for headers in ({}, {"Origin": "http://localhost:3000"}, {"If-None-Match": "*"}):
        response = client.get(path, headers={"Accept-Encoding": coding, **headers})

        assert set(response.headers.getlist("Vary")) == {"Accept-Encoding", "Origin"}


@pytest.mark.parametrize("coding", ["", *DECODERS])
@pytest.mark.parametrize("later", ["", *DECODERS])
def test_current_etag_is_not_modified_whatever_the_compression(
    client: FlaskClient, path: str, coding: str, later: str
) -> None:
    first = client.get(path, headers={"Accept-Encoding": coding})

    known = {"Accept-Encoding": later, "If-None-Match": first.headers["ETag"]}
    second = client.get(path, headers=known)

    assert (second.status_code, second.data) == (304, b"")
    for name in ("ETag", "Cache-Control"):
        assert second.headers[name] == first.headers[name]
    assert "Content-Encoding" not in second.headers


def test_outdated_etag_gets_the_whole_response(client: FlaskClient, path: str) -> None:
    response = client.get(path, headers={"If-None-Match": 'W/"before", "0"'})

    assert response.status_code == 200
    assert response.data


@pytest.mark.parametrize("coding", ["", *DECODERS])
@pytest.mark.parametrize("condition", [{}, {"If-Range": '"x"'}, {"If-Match": '"x"'}])
def test_range_request_gets_the_whole_response(
    client: FlaskClient, path: str, coding: str, condition: dict[str, str]
) -> None:
    whole = client.get(path, headers={"Accept-Encoding": coding})

    headers = {"Accept-Encoding": coding, "Range": "bytes=2-5", **condition}
    response = client.get(path, headers=headers)

    assert (response.status_code, response.data) == (200, whole.data)
    assert "Content-Range" not in response.headers


@pytest.mark.parametrize("path", ["/api/todos", "/api/todos?limit=1000", "/docs", "/openapi.json"])
def test_only_the_page_and_its_files_are_compressed(client: FlaskClient, path: str) -> None:
    for _ in range(10):
        client.post("/api/todos", json={"description": "x" * 500})

    response = client.get(path, headers={"Accept-Encoding": "gzip, deflate, br, zstd"})

    assert "Content-Encoding" not in response.headers
    assert response.headers.getlist("Vary") == ["Origin"]


def test_web_process_compresses_and_revalidates(web: WebProcess, path: str) -> None:
    first = web.request("GET", path, headers={"Accept-Encoding": "br"})

    known = {"Accept-Encoding": "br", "If-None-Match": first.headers["ETag"]}
    second = web.request("GET", path, headers=known)

    assert (first.status_code, first.headers["Content-Encoding"]) == (200, "br")
    assert (second.status_code, second.content) == (304, b"")
    for response in (first, second):
        assert set(response.headers["Vary"].split(", ")) == {"Accept-Encoding", "Origin"}
