"""What pages of other origins may do: flask-cors, by what the configuration says."""

from flask import Flask, Response, request
from flask_cors.core import get_cors_options, set_cors_headers


def init_app(app: Flask) -> None:
    """Let the configured origins use `app`.

    The extension's own `CORS(app)` would go through all of its options for each request, and
    most requests have no origin.
    """
    options = get_cors_options(app)

    @app.after_request
    def permit(response: Response) -> Response:
        if "Origin" in request.headers:
            set_cors_headers(response, options)
        # An answer without permission must not be kept for an origin that has it: Fetch, 3.2.5.
        response.headers.add("Vary", "Origin")
        return response
