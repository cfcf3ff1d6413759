"""/login and /logout: the session of the page. They exist only if `ACCESS_TOKEN` is set."""

import re
from math import ceil

from flask import Flask, Response, make_response, redirect, render_template, request, url_for
from werkzeug.exceptions import HTTPException, TooManyRequests

from todoapp.web.access_control import AccessControl, unauthorized
from todoapp.web.errors import handle_http_exception
from todoapp.web.failed_attempts import FailedAttempts

# A path of this site. Browsers treat a backslash as a slash, and drop tabs and line breaks.
LOCAL_PATH = re.compile(r"/(?!/)[!-\[\]-~]*")


def init_app(app: Flask) -> None:
    """Add the routes, if there is an access token."""
    access: AccessControl | None = app.extensions.get("access")
    if access is None:
        return
    # Created before the workers are forked, which share it.
    failures = FailedAttempts()

    @app.get("/login")
    def login() -> Response:
        """Show the form."""
        return with_form(make_response(), request.args.get("next", "/"))

    @app.post("/login")
    def begin_session() -> Response:
        """Begin a session, and return to the page that required it."""
        client = request.remote_addr or ""
        wait = ceil(failures.seconds_to_wait(client))
        if wait:
            detail = f"Too many wrong tokens: try again in {wait} seconds"
            raise TooManyRequests(detail, retry_after=wait)
        if not access.is_valid(request.form.get("token", "")):
            failures.add(client)
            raise unauthorized("The access token is wrong")
        response = make_response(redirect(local_path(request.form.get("next", "/")), 303))
        access.sign_in(response)
        return response

    @app.post("/logout")
    def end_session() -> Response:
        """End the session."""
        response = make_response(redirect(url_for("login"), 303))
        access.sign_out(response)
        # What the browser keeps for its Back button.
        response.headers["Clear-Site-Data"] = '"cache"'
        return response

    for status in (401, 429):
        app.register_error_handler(status, handle_refusal)


def handle_refusal(error: HTTPException) -> Response:
    """Return the form where a browser opens a page, else JSON."""
    response = handle_http_exception(error)
    if not accepts_html():
        return response
    path = request.path.rstrip("/")
    if path == "/login":
        return with_form(response, request.form.get("next", "/"), str(error.description))
    if path in ("", "/docs"):
        return with_form(response, request.full_path.removesuffix("?"))
    return response


def with_form(response: Response, next_path: str, error: str = "") -> Response:
    """Make the form the body of a response.

    Args:
        response: its status and its headers are kept.
        next_path: the path and query to open after signing in.
        error: the message at the field; "" for none.
    """
    page = render_template("login.html", next=local_path(next_path), error=error)
    response.set_data(page)
    response.mimetype = "text/html"
    response.headers["Cache-Control"] = "no-store"
    response.vary.add("Accept")
    return response


def accepts_html() -> bool:
    """Return whether the client prefers HTML to JSON, as browsers do when they open a page."""
    return request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html"


def local_path(path: str) -> str:
    """Return `path` if it is one of this site, else `/`."""
    return path if LOCAL_PATH.fullmatch(path) else "/"
