"""Security response headers."""

from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

from flask import Flask

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# Everything comes from this origin, and no other page may frame ours.
OWN_ORIGIN = (
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none';"
    " object-src 'none'"
)
# Swagger UI's style sheet contains images.
POLICIES = {"/docs": f"{OWN_ORIGIN}; img-src 'self' data:"}


def init_app(app: Flask) -> None:
    """Add the headers to every response, in middleware below `ProxyFix`, which sets the scheme.

    Adding them to Flask's Response in `after_request` takes five times as long.
    """
    app.wsgi_app = with_security_headers(app.wsgi_app)  # type: ignore[assignment, method-assign]


def with_security_headers(app: "WSGIApplication") -> "WSGIApplication":
    """Wrap `app` so that every response has the headers."""

    def respond(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        policy = POLICIES.get(environ["PATH_INFO"].rstrip("/"), OWN_ORIGIN)
        more = headers(policy, environ["wsgi.url_scheme"] == "https")

        def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            return start_response(status, headers + more, *exc_info)

        return app(environ, start)

    return respond


@cache
def headers(policy: str = OWN_ORIGIN, secure: bool = False) -> list[tuple[str, str]]:
    """Return the headers of a response.

    Args:
        policy: its `Content-Security-Policy`.
        secure: whether the request came over HTTPS.
    """
    always = [
        ("Content-Security-Policy", policy),
        ("Referrer-Policy", "no-referrer"),
        ("X-Content-Type-Options", "nosniff"),
        ("X-Frame-Options", "DENY"),
    ]
    return [*always, ("Strict-Transport-Security", "max-age=31536000")] if secure else always
