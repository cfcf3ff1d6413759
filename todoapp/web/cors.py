"""Cross-origin resource sharing: flask-cors, configured from `Config`."""

from flask import Flask, Response
from flask_cors import CORS

EXPOSED_HEADERS = ["ETag", "Link", "Location", "Retry-After", "X-Request-ID", "X-Total-Count"]
"""Response headers that scripts of allowed origins may read."""


def init_app(app: Flask) -> None:
    """Allow cross-origin requests from the origins in `CORS_ORIGINS`."""
    CORS(
        app,
        methods=["GET", "HEAD", "POST", "PATCH", "DELETE"],
        expose_headers=EXPOSED_HEADERS,
        always_send=False,
        send_wildcard=True,
        intercept_exceptions=False,  # error responses pass through after_request, too
        vary_header=False,
    )

    @app.after_request
    def vary_by_origin(response: Response) -> Response:
        # flask-cors sets it for allowed origins only, and a cache would serve the refusal of one
        # origin to another: https://fetch.spec.whatwg.org/#cors-protocol-and-http-caches
        response.headers.add("Vary", "Origin")
        return response
