"""Admission control: refusals and checks that apply to every request, before any view runs."""

import re
from functools import lru_cache
from time import monotonic
from urllib.parse import urlsplit

from flask import Flask, abort, current_app, request
from werkzeug.exceptions import ServiceUnavailable

from todoapp.config import Config

from .errors import RETRY_AFTER_SECONDS

SHED_AFTER = 0.8
"""Fraction of REQUEST_TIMEOUT after which a waiting request is refused: responding takes time."""

# A name (underscores included: containers have them) or an IP address, and optionally a port.
HOST = re.compile(r"([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{0,5})?", re.IGNORECASE)


def init_app(app: Flask, config: Config) -> None:
    """Check every request of `app`."""

    @app.before_request
    def admit() -> None:
        environ = request.environ
        # server/ passes on malformed requests, so that their responses look like all others.
        if environ.get("server.refusal"):
            status, detail = environ["server.refusal"]
            abort(status, detail or None)
        if "server.queued_at" in environ:
            shed_load(environ["server.queued_at"], SHED_AFTER * config.request_timeout)
        if "RAW_URI" in environ:
            check_target(environ["RAW_URI"])
        check_host(environ.get("HTTP_HOST"), environ["SERVER_PROTOCOL"], config.trusted_hosts)


def shed_load(queued_at: float, max_seconds: float) -> None:
    """Refuse a request that waited so long for a thread that its client is about to time out.

    Args:
        queued_at: when the wait began (`time.monotonic()`).
        max_seconds: the longest acceptable wait.
    """
    if monotonic() - queued_at > max_seconds:
        current_app.logger.warning("A request waited too long for a thread")
        raise ServiceUnavailable("The service is overloaded", retry_after=RETRY_AFTER_SECONDS)


def check_target(target: str) -> None:
    """Reject targets that a proxy could map to another path."""
    path = target.partition("?")[0]
    if not path.startswith("/") or "#" in target:
        abort(400, "The request target must be an absolute path")
    if path.startswith("//") or "%2f" in path.lower():
        abort(404)


@lru_cache(maxsize=256)  # clients send the same few
def check_host(host: str | None, protocol: str, trusted: tuple[str, ...]) -> None:
    """Refuse a request without a host, or with an invalid or unknown one: RFC 9112, section 3.2.

    Flask's own setting TRUSTED_HOSTS cannot trust an IPv6 address.

    Args:
        host: the Host header.
        protocol: the version of HTTP; HTTP/1.0 does not require a host.
        trusted: trusted hosts in lower case, a leading dot includes subdomains; empty trusts all.
    """
    if host is None:
        if protocol != "HTTP/1.0":
            abort(400, "The Host header is missing")
        return
    valid = HOST.fullmatch(host)
    try:
        _ = urlsplit(f"//{host}").port
    except ValueError:  # an impossible IP address or port
        valid = None
    if not valid:
        abort(400, "The Host header is invalid")
    name = valid[1].lower()
    if trusted and not any(
        name == each.removeprefix(".") or (each[0] == "." and name.endswith(each))
        for each in trusted
    ):
        abort(400, f"The host {name} is not one of TRUSTED_HOSTS")
