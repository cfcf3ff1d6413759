"""The todo page at `/`, and its files under `/static/`."""

from collections.abc import Mapping
from hashlib import blake2b
from mimetypes import MimeTypes
from pathlib import Path
from typing import Any

from flask import Flask, Request, Response, abort, g, render_template, url_for
from flask_compress import Compress

from todoapp.todos.models import DESCRIPTION_LENGTH
from todoapp.web.conditional import not_modified_or

# Python's own table: a machine's table may map .js to text/plain, which browsers do not run.
TYPES = MimeTypes()
TYPES.add_type("application/manifest+json", ".webmanifest")

# RFC 8246: not revalidated even on reload.
FOREVER = "public, max-age=31536000, immutable"
REVALIDATE = "no-cache"


class CompressedFiles(dict[str, bytes]):
    """Cache of compressed responses, for Flask-Compress."""

    set = dict.__setitem__


def cache_key(request: Request) -> str:
    """Return what the content of a response depends on, apart from its encoding."""
    # Not the version in the URL, which can be anything.
    filename = (request.view_args or {}).get("filename", request.path)
    # The page has a button to sign out only if there is a session.
    return f"{request.root_path} {filename} {'session_age' in g}"


def init_app(app: Flask) -> None:
    """Add the routes of the page and its files."""
    # Read once: the content of a versioned URL never changes, not even while a deployment replaces
    # the files.
    files = read(Path(__file__).with_name("static"))
    current = version_of(files)
    app.config.update(COMPRESS_CACHE_BACKEND=CompressedFiles, COMPRESS_CACHE_KEY=cache_key)
    compress = Compress(app)
    modules = sorted(name for name in files if name.endswith(".js") and name != "docs.js")

    @app.url_defaults
    def add_version(endpoint: str, values: dict[str, Any]) -> None:
        if endpoint == "static":
            values.setdefault("version", current)

    @app.get("/")
    @compress.compressed()
    def page() -> Response:
        """Serve the page."""
        response = Response(render_template("page.html", length=DESCRIPTION_LENGTH))
        # Load all modules at once, not one after the other as they import each other.
        urls = (url_for("static", filename=name) for name in modules)
        response.headers["Link"] = ", ".join(f"<{url}>; rel=modulepreload" for url in urls)
        return conditional(response, REVALIDATE)

    @app.get("/service-worker.js")
    @compress.compressed()
    def service_worker() -> Response:
        """Serve the service worker; at the root, because it handles requests for the page."""
        shell = [
            url_for("static", filename=name)
            for name in files
            if name.endswith((".js", ".css", ".svg"))
        ]
        script = render_template("service-worker.js", version=current, files=sorted(shell))
        return conditional(Response(script, mimetype="text/javascript"), REVALIDATE)

    @app.get("/static/<version>/<path:filename>")
    @compress.compressed()
    def static(version: str, filename: str) -> Response:
        """Serve a file. During a deployment, a page of another release gets this release's file."""
        if filename not in files:
            abort(404)
        media_type, _ = TYPES.guess_type(filename)
        response = Response(files[filename], mimetype=media_type or "application/octet-stream")
        return conditional(response, FOREVER if version == current else REVALIDATE)


def read(folder: Path) -> dict[str, bytes]:
    """Return the files in `folder` by their relative names."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def version_of(files: Mapping[str, bytes]) -> str:
    """Return a version that changes whenever one of the files does.

    All files share it, because a module imports the others by relative URLs.
    """
    return blake2b(repr(sorted(files.items())).encode(), digest_size=5).hexdigest()


def conditional(response: Response, cache_control: str) -> Response:
    """Add an ETag and `Cache-Control`; return 304 if the client has this version."""
    # Weak: compressed and uncompressed responses share it.
    response.add_etag(weak=True)
    return not_modified_or(response, cache_control)
