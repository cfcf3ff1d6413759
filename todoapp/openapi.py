"""The description of the API: /openapi.json, and /docs, the same as a page."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import flask_swagger_ui
from flask import Blueprint, Flask, render_template

from .extensions import api
from .schemas import ErrorSchema, ValidationErrorSchema

View = TypeVar("View", bound=Callable[..., Any])

FAILURES: dict[int, tuple[str, str]] = {
    400: ("Validation failed, or malformed HTTP", "description must not be empty"),
    404: ("There is no such todo", "Todo 999 not found"),
    405: ("The path does not know the method", "Method not allowed"),
    408: ("The request took longer than `REQUEST_TIMEOUT` to arrive", "Request timeout"),
    412: ("The todo is not in the state that was expected", "Todo 1 has changed since"),
    413: ("The body is too long", "The body must not exceed 64 KiB"),
    414: ("The request line is too long", "Request uri too long"),
    415: ("The body does not say that it is JSON", "The Content-Type must be application/json"),
    417: ("`Expect` is not `100-continue`", "Expectation failed"),
    431: ("The header is too long", "Request header fields too large"),
    500: ("Unexpected error", "Internal server error"),
    501: ("`Transfer-Encoding` is not `chunked`", "Transfer-Encoding must be chunked"),
    503: ("The database cannot do it now", "The database is unavailable"),
}
# Among them are the statuses with which the web server refuses a request.
ALWAYS = (400, 405, 408, 413, 414, 417, 431, 500, 501)
FAILURE_HEADERS = {405: ("Allow",), 500: ("X-Request-ID",), 503: ("Retry-After",)}

HEADERS = {
    "Allow": ("string", "The methods that the path knows"),
    "ETag": ("string", "Changes whenever the answer does"),
    "Link": ("string", '`<URL>; rel="next"`, the next page, where there is more'),
    "Location": ("string", "The path of the todo"),
    "Retry-After": ("integer", "Seconds after which to try again"),
    "X-Request-ID": ("string", "What the log calls the request; every answer has one"),
    "X-Total-Count": ("integer", "With `count=true`: how many todos there are in all"),
}
blueprint = Blueprint(
    "docs",
    __name__,
    static_folder=Path(flask_swagger_ui.__file__).parent / "dist",
    static_url_path="/docs/assets",
)


@blueprint.get("/docs")
def docs() -> str:
    """Show /openapi.json as a page: Swagger UI, from our own origin alone."""
    return render_template("docs.html")


def responses(*statuses: int) -> dict[str, Any]:
    """Return what `Blueprint.doc` takes for a view that may answer with `statuses` too."""
    return {
        "responses": {
            status: {"$ref": f"#/components/responses/{status}"}
            for status in sorted({*statuses, *ALWAYS})
        }
    }


def headers(*names: str) -> dict[str, Any]:
    """Return the description of a response's headers."""
    return {
        name: {"schema": {"type": HEADERS[name][0]}, "description": HEADERS[name][1]}
        for name in names
    }


IF_MATCH = {"If-Match": "Only if the todo still has this `ETag`; else 412"}
IF_NONE_MATCH = {"If-None-Match": "Only if the `ETag` is another one; else 304"}


def reads_headers(described: dict[str, str]) -> Callable[[View], View]:
    """Describe headers that a view reads from the request.

    `Blueprint.doc(parameters=…)` would put them in the place of those of `Blueprint.arguments`.
    """

    def describe(view: View) -> View:
        arguments = view._apidoc.setdefault("arguments", {})  # type: ignore[attr-defined]
        arguments.setdefault("parameters", []).extend(
            {"name": name, "in": "header", "schema": {"type": "string"}, "description": text}
            for name, text in described.items()
        )
        return view

    return describe


def init_app(app: Flask) -> None:
    """Bind flask-smorest and the page to `app`. Call it before blueprints are registered."""
    api.ERROR_SCHEMA = ErrorSchema
    api.DEFAULT_ERROR_RESPONSE_NAME = None
    api.init_app(app)
    # flask-smorest describes its own paging, which we do not use.
    del api.spec.components.schemas["PaginationMetadata"]
    api.spec.components.response(
        "304", {"description": "The client has it as it is", "headers": headers("ETag")}
    )
    for status, (description, detail) in FAILURES.items():
        example: dict[str, Any] = {"detail": detail}
        if status == 400:
            example["errors"] = {"description": [detail]}
        schema = ValidationErrorSchema if status == 400 else ErrorSchema
        api.spec.components.response(
            str(status),
            {
                "description": description,
                "headers": headers(*FAILURE_HEADERS.get(status, ())),
                "content": {"application/json": {"schema": schema, "example": example}},
            },
        )
    app.register_blueprint(blueprint)
