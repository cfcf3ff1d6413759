"""Cross-origin resource sharing: flask-cors, configured from `Config`."""

from flask import Flask, Response, request
from flask_cors import cross_origin

EXPOSED_HEADERS = [
    "ETag",
    "Idempotent-Replayed",
    "Link",
    "Location",
    "Retry-After",
    "X-Request-ID",
    "X-Total-Count",
]
"""Response headers that scripts of allowed origins may read."""


@cross_origin(
    methods=["GET", "HEAD", "POST", "PATCH", "DELETE"],
    expose_headers=EXPOSED_HEADERS,
    send_wildcard=True,
    automatic_options=False,
    vary_header=False,
)
def with_cors_headers(response: Response) -> Response:
    """Return `response`; the decorator adds the headers for the origins in `CORS_ORIGINS`."""
    return response


def init_app(app: Flask) -> None:
    """Allow cross-origin requests from the origins in `CORS_ORIGINS`.

    Not by flask-cors' `CORS(app)`, which evaluates its rules for every request, while most
    requests have no origin: 3 % of what reading a todo costs.
    """

    @app.after_request
    def add_cors_headers(response: Response) -> Response:
        if request.headers.get("Origin"):
            response = with_cors_headers(response)
        # A cache must not serve this response to another origin, whether allowed or not:
        # https://fetch.spec.whatwg.org/#cors-protocol-and-http-caches
        response.headers.add("Vary", "Origin")
        return response
