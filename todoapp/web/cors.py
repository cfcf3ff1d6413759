"""Cross-origin resource sharing: flask-cors, configured from `Config`."""

from flask import Flask, Response, request
from flask_cors.core import get_cors_options, set_cors_headers


def init_app(app: Flask) -> None:
    """Allow cross-origin requests from the configured origins.

    The extension's own `CORS(app)` would evaluate all of its options for each request, and most
    requests have no origin.
    """
    options = get_cors_options(app)

    @app.after_request
    def add_cors_headers(response: Response) -> Response:
        if "Origin" in request.headers:
            set_cors_headers(response, options)
        # A cache must not serve this response to another origin: Fetch, 3.2.5.
        response.headers.add("Vary", "Origin")
        return response
