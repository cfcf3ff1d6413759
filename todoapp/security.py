"""What every answer tells a browser not to do with it."""

from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

from flask import Flask

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# Nothing but our own origin: scripts and styles are files, and nobody frames our pages.
OWN_ORIGIN = (
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none';"
    " object-src 'none'"
)
# Swagger UI's style sheet has pictures in it.
POLICIES = {"/docs": f"{OWN_ORIGIN}; img-src 'self' data:"}


def init_app(app: Flask) -> None:
    """Give every answer of `app` these headers. Call it before `ProxyFix`, which knows the scheme.

    Not `after_request`: to put them into a Response would take five times as long.
    """
    app.wsgi_app = protected(app.wsgi_app)  # type: ignore[assignment, method-assign]


def protected(app: "WSGIApplication") -> "WSGIApplication":
    """Return `app` with these headers on whatever it answers."""

    def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        policy = POLICIES.get(environ["PATH_INFO"].rstrip("/"), OWN_ORIGIN)
        more = headers(policy, environ["wsgi.url_scheme"] == "https")

        def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            return start_response(status, headers + more, *exc_info)

        return app(environ, start)

    return answer


@cache
def headers(policy: str = OWN_ORIGIN, secure: bool = False) -> list[tuple[str, str]]:
    """Return the headers of an answer.

    Args:
        policy: its `Content-Security-Policy`.
        secure: whether it was asked for by HTTPS.
    """
    always = [
        ("Content-Security-Policy", policy),
        ("Referrer-Policy", "no-referrer"),
        ("X-Content-Type-Options", "nosniff"),
        ("X-Frame-Options", "DENY"),
    ]
    return [*always, ("Strict-Transport-Security", "max-age=31536000")] if secure else always
