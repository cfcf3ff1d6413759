"""The todo page at /, and the files under /static/ that it is made of."""

from collections.abc import Mapping
from hashlib import blake2b
from mimetypes import MimeTypes
from pathlib import Path
from typing import Any

from flask import Flask, Response, abort, render_template, request, url_for

from .extensions import compress
from .models import DESCRIPTION_LENGTH

# What Python knows by itself: the list of a machine may hold that a script is plain text, and
# then no browser runs it.
TYPES = MimeTypes()

# RFC 8246: not even a reload asks whether it has changed.
FOR_EVER = "public, max-age=31536000, immutable"
ASK_EACH_TIME = "no-cache"


def init_app(app: Flask) -> None:
    """Let `app` serve the page and its files."""
    # Read once: what an address with their version gives never changes, not even while a deploy
    # puts other files in their place.
    files = read(Path(app.root_path, "static"))
    current = version_of(files)
    modules = sorted(name for name in files if name.endswith(".js") and name != "docs.js")

    @app.url_defaults
    def add_version(endpoint: str, values: dict[str, Any]) -> None:
        if endpoint == "static":
            values.setdefault("version", current)

    @app.get("/")
    @compress.compressed()
    def page() -> Response:
        """Show the todos."""
        response = Response(render_template("page.html", length=DESCRIPTION_LENGTH))
        # All at once, instead of each one when another that imports it has come: RFC 8288.
        addresses = (url_for("static", filename=name) for name in modules)
        response.headers["Link"] = ", ".join(f"<{each}>; rel=modulepreload" for each in addresses)
        return _unless_known(response, ASK_EACH_TIME)

    @app.get("/static/<version>/<path:filename>")
    @compress.compressed()
    def static(version: str, filename: str) -> Response:
        """Give a file: for a page of another release, as there are some in a deploy, ours."""
        if filename not in files:
            abort(404)
        media_type, _ = TYPES.guess_type(filename)
        response = Response(files[filename], mimetype=media_type or "application/octet-stream")
        return _unless_known(response, FOR_EVER if version == current else ASK_EACH_TIME)


def read(folder: Path) -> dict[str, bytes]:
    """Return the files below `folder`, by their names relative to it."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def version_of(files: Mapping[str, bytes]) -> str:
    """Return a name for `files` that changes whenever one of them does.

    One name for all: a module finds the others beside its own address.
    """
    return blake2b(repr(sorted(files.items())).encode(), digest_size=5).hexdigest()


def _unless_known(response: Response, cache_control: str) -> Response:
    """Return 304 instead of `response` if the client has it: RFC 9110, section 13.1.2."""
    # Weak: it stands for the same content, however that is compressed.
    response.add_etag(weak=True)
    etag, _ = response.get_etag()
    if request.if_none_match.contains_weak(etag or ""):
        response.status_code = 304  # Werkzeug leaves the body out
    response.headers["Cache-Control"] = cache_control
    return response
