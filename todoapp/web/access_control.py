"""Access control: the access token, sessions, and changes that other sites cause."""

import hashlib
import hmac
import time
from typing import TYPE_CHECKING

from flask import Flask, Response, g, request
from itsdangerous import BadSignature, TimestampSigner
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Forbidden, Unauthorized

from todoapp.config import Config

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

AUTHORIZED_BY = "todoapp.authorized_by"
"""Key in the WSGI environ of an authorized request: "token" or "session"."""

PUBLIC_PATHS = frozenset(("/health", "/health/live", "/login"))
SAFE_METHODS = frozenset(("GET", "HEAD", "OPTIONS", "TRACE"))
"""RFC 9110, section 9.2.1."""

SESSION_SECONDS = 30 * 24 * 3600
RENEW_AFTER_SECONDS = 24 * 3600


def init_app(app: Flask, config: Config) -> None:
    """Refuse changes that other sites cause and, if `ACCESS_TOKEN` is set, unauthorized requests.

    Call it first: a `before_request` function that ran earlier could reveal whether a path exists.
    """
    if config.access_token:
        access = app.extensions["access"] = AccessControl(config.access_token)
        app.before_request(access.require)
        app.after_request(access.finish)
    trusted = frozenset(config.cors_origins)

    @app.before_request
    def refuse_cross_site_changes() -> None:
        is_refused = request.environ.get("server.refusal") or request.routing_exception
        if request.method in SAFE_METHODS or is_refused or not is_cross_site():
            return
        origin = request.headers.get("Origin", "unknown")
        # Allowed origins send the token: the session belongs to the page.
        if "session_age" in g:
            raise Forbidden(f"Only the page may use its session, not the origin {origin!a}")
        if not trusted & {origin, "*"}:
            raise Forbidden(f"The origin {origin!a} must not change todos; see CORS_ORIGINS")


def is_cross_site() -> bool:
    """Return whether a page of another origin caused the request.

    A client that is no browser sends neither header:
    https://developer.mozilla.org/en-US/docs/Web/HTTP/Reference/Headers/Sec-Fetch-Site
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site not in ("same-origin", "none")
    # Older browsers, and plain HTTP.
    origin = request.headers.get("Origin")
    if origin is None:
        return False
    scheme, _, host = origin.lower().partition("://")
    default_port = {"http": ":80", "https": ":443"}.get(scheme, "")
    return host != request.headers.get("Host", "").lower().removesuffix(default_port)


class AccessControl:
    """Checks the access token, and the sessions that it signs.

    A session is a signed timestamp in a cookie, so it is valid on every worker and machine, and a
    changed token ends all sessions.
    """

    def __init__(self, token: str) -> None:
        self._token = token.encode()
        self._signer = TimestampSigner(token, salt="session", digest_method=hashlib.sha256)

    def is_valid(self, token: str) -> bool:
        """Compare a token with the configured one, in constant time."""
        return hmac.compare_digest(token.encode(), self._token)

    def require(self) -> None:
        """Refuse the current request if it has neither the token nor a session.

        Raises:
            Unauthorized: it requires one of them.
        """
        environ = request.environ
        if is_public(environ) or environ.get("server.refusal"):
            return
        scheme, _, token = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme.lower() == "bearer":
            if not self.is_valid(token.strip()):
                raise unauthorized("The access token is wrong")
            environ[AUTHORIZED_BY] = "token"
        else:
            age = self._session_age()
            if age is None:
                raise unauthorized("Sign in at /login, or send Authorization: Bearer <token>")
            environ[AUTHORIZED_BY] = "session"
            g.session_age = age

    def finish(self, response: Response) -> Response:
        """Keep the response out of shared caches, and renew the session once a day."""
        authorized_by = request.environ.get(AUTHORIZED_BY)
        if authorized_by:
            others = response.headers.get("Cache-Control")
            response.headers["Cache-Control"] = f"private, {others}" if others else "private"
            if authorized_by == "session" and g.session_age > RENEW_AFTER_SECONDS:
                self.sign_in(response)
        return response

    def sign_in(self, response: Response) -> None:
        """Begin a session, or renew it."""
        response.set_cookie(
            cookie_name(),
            self._signer.sign("session").decode(),
            max_age=SESSION_SECONDS,
            secure=request.is_secure,
            httponly=True,
            samesite="Strict",
        )

    def sign_out(self, response: Response) -> None:
        """End the session in this browser."""
        g.session_age = 0  # nothing to renew
        response.delete_cookie(
            cookie_name(), secure=request.is_secure, httponly=True, samesite="Strict"
        )

    def _session_age(self) -> float | None:
        """Return the age of the session in seconds; None if there is none, or it has expired."""
        try:
            _, signed_at = self._signer.unsign(
                request.cookies.get(cookie_name(), ""), return_timestamp=True
            )
        except BadSignature:
            return None
        # Negative if the clock of the machine that signed it is fast, which itsdangerous refuses.
        age = time.time() - signed_at.timestamp()
        return age if age <= SESSION_SECONDS else None


def is_public(environ: "WSGIEnvironment") -> bool:
    """Return whether a request needs no authorization."""
    path: str = environ["PATH_INFO"]
    is_preflight = (
        environ["REQUEST_METHOD"] == "OPTIONS" and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ
    )
    return is_preflight or path.startswith("/static/") or path.removesuffix("/") in PUBLIC_PATHS


def cookie_name() -> str:
    """Return the name of the session cookie.

    Over HTTPS no other host and no plain HTTP can set it:
    https://developer.mozilla.org/en-US/docs/Web/HTTP/Reference/Headers/Set-Cookie#cookie_prefixes
    """
    return "__Host-todos-session" if request.is_secure else "todos-session"


def unauthorized(detail: str) -> Unauthorized:
    """Return the exception for a 401."""
    return Unauthorized(detail, www_authenticate=WWWAuthenticate("bearer"))
