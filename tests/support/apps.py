"""WSGI applications that violate PEP 3333 or raise errors."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

Start = Callable[..., Any]


def app(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
    """Dispatch to the case that the path names."""
    if environ["server.refusal"]:
        start_response(f"{environ['server.refusal'][0].value} Refused", [("Content-Length", "0")])
        return []
    return CASES[environ["PATH_INFO"]](start_response)


def too_short(start_response: Start) -> list[bytes]:
    start_response("200 OK", [("Content-Length", "9")])
    return [b"short"]


def too_long(start_response: Start) -> list[bytes]:
    start_response("200 OK", [("Content-Length", "2")])
    return [b"long"]


def raises(start_response: Start) -> list[bytes]:
    raise ZeroDivisionError


def raises_later(start_response: Start) -> Iterator[bytes]:
    start_response("200 OK", [])
    yield b"beginning"
    raise ZeroDivisionError


def body(start_response: Start) -> list[bytes]:
    start_response("200 OK", [("Content-Length", "4")])
    return [b"body"]


def empty(start_response: Start) -> list[bytes]:
    start_response("200 OK", [])
    return []


def alive(start_response: Start) -> list[bytes]:
    start_response("200 OK", [("Content-Length", "0")])
    return []


CASES = {
    "/health/live": alive,
    "/too-short": too_short,
    "/too-long": too_long,
    "/raises": raises,
    "/raises-later": raises_later,
    "/body": body,
    "/empty": empty,
}
