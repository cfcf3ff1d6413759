"""/openapi.json, and /docs, which shows it as a page."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import flask_swagger_ui
from apispec import APISpec, BasePlugin
from flask import Blueprint, Flask, render_template
from flask_smorest import Api
from marshmallow import Schema, fields

View = TypeVar("View", bound=Callable[..., Any])


class FailureSchema(Schema):
    """A failure."""

    detail = fields.String(
        required=True, metadata={"description": "What is wrong, for a person to read"}
    )


class ValidationFailureSchema(FailureSchema):
    """A failed validation."""

    errors = fields.Dict(
        keys=fields.String(),
        values=fields.List(fields.String()),
        metadata={"description": "Messages by field"},
    )


FAILURES: dict[int, tuple[str, str]] = {
    400: ("Validation failed, or malformed HTTP", "description must not be empty"),
    401: ("The request has neither the access token nor a session", "The access token is wrong"),
    403: (
        "Another site caused the request, and its origin is not one of `CORS_ORIGINS`",
        "The origin 'https://example.com' must not change todos; see CORS_ORIGINS",
    ),
    404: ("There is no such todo", "Todo 999 not found"),
    405: ("The path does not support the method", "Method not allowed"),
    408: ("The request did not arrive within `REQUEST_TIMEOUT`", "Request timeout"),
    409: (
        "`updated_at` is the last time of the year 9999",
        "A todo cannot be changed after the year 9999",
    ),
    412: ("`If-Match`: the todo has changed since", "Todo 1 has changed since"),
    413: ("The body is too large", "The body must not exceed 64 KiB"),
    414: ("The request line is too long", "Request uri too long"),
    415: ("The `Content-Type` is not JSON", "The Content-Type must be application/json"),
    417: ("`Expect` is not `100-continue`", "Expectation failed"),
    422: (
        "The `Idempotency-Key` was used with another body",
        "The Idempotency-Key was used with another body",
    ),
    431: ("The header is too large", "Request header fields too large"),
    500: ("Unexpected error", "Internal server error"),
    501: ("`Transfer-Encoding` is not `chunked`", "Transfer-Encoding must be chunked"),
    503: (
        "The database is unavailable, overloaded, full or too slow",
        "The database is unavailable",
    ),
}
# Including the statuses with which the web server refuses a request.
ALWAYS = (400, 405, 408, 413, 414, 417, 431, 500, 501)
FAILURE_HEADERS = {
    401: ("WWW-Authenticate",),
    405: ("Allow",),
    500: ("X-Request-ID",),
    503: ("Retry-After",),
}

HEADERS = {
    "Allow": ("string", "Methods that the path supports"),
    "ETag": ("string", "Changes whenever the response does"),
    "Idempotent-Replayed": ("string", "`true`: the todo was created by an earlier request"),
    "Link": ("string", '`<URL>; rel="next"`: the next page, if there is one'),
    "Location": ("string", "The path of the todo"),
    "Retry-After": ("integer", "Seconds after which to retry"),
    "WWW-Authenticate": ("string", "`Bearer`"),
    "X-Request-ID": ("string", "ID of the request, also in the log; on every response"),
    "X-Total-Count": ("integer", "With `count=true`: the total number of todos"),
}
blueprint = Blueprint(
    "docs",
    __name__,
    static_folder=Path(flask_swagger_ui.__file__).parent / "dist",
    static_url_path="/docs/assets",
)


@blueprint.get("/docs")
def docs() -> str:
    """Swagger UI, served from this origin alone."""
    return render_template("docs.html")


def responses(*statuses: int) -> dict[str, Any]:
    """Return the arguments of `Blueprint.doc` for a view that may also respond with `statuses`."""
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


IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]*$"},
    "description": "The same key creates no second todo",
}
IF_MATCH = {
    "name": "If-Match",
    "schema": {"type": "string"},
    "description": "Only if the todo still has this `ETag`, else 412",
}
IF_NONE_MATCH = {
    "name": "If-None-Match",
    "schema": {"type": "string"},
    "description": "Only if the `ETag` has changed, else 304",
}


def reads_header(described: dict[str, Any]) -> Callable[[View], View]:
    """Describe a request header that a view reads.

    `Blueprint.doc(parameters=…)` would replace the parameters from `Blueprint.arguments`.
    """

    def describe(view: View) -> View:
        arguments = view._apidoc.setdefault("arguments", {})  # type: ignore[attr-defined]
        arguments.setdefault("parameters", []).append({"in": "header", **described})
        return view

    return describe


class HeadPlugin(BasePlugin):
    """Describes HEAD of each path with GET: the same without a body."""

    def init_spec(self, spec: APISpec) -> None:
        """Keep the description, whose components the operations refer to."""
        self.spec = spec

    def operation_helper(
        self, path: str | None = None, operations: dict[str, Any] | None = None, **kwargs: Any
    ) -> None:
        """Add HEAD to the operations of a path."""
        if not operations or "get" not in operations:
            return
        get = operations["get"]
        components = self.spec.components.responses
        responses = {
            status: components[str(status)] if "$ref" in response else response
            for status, response in get["responses"].items()
        }
        operations["head"] = {
            **get,
            "operationId": f"{get['operationId']}Head",
            "summary": "The status and the headers of GET",
            "responses": {
                status: {key: value for key, value in response.items() if key != "content"}
                for status, response in responses.items()
            },
        }


class AccessTokenPlugin(BasePlugin):
    """Describes that operations require the access token, those without `security` excepted."""

    def init_spec(self, spec: APISpec) -> None:
        """Describe the scheme."""
        spec.components.security_scheme("accessToken", {"type": "http", "scheme": "bearer"})

    def operation_helper(
        self, path: str | None = None, operations: dict[str, Any] | None = None, **kwargs: Any
    ) -> None:
        """Add 401 to the operations of a path."""
        for operation in (operations or {}).values():
            if "security" not in operation:
                operation["responses"]["401"] = {"$ref": "#/components/responses/401"}


def init_app(app: Flask, *, requires_token: bool) -> Api:
    """Add /openapi.json and /docs; return what describes the blueprints that it registers.

    Unlike other extensions, flask-smorest's belongs to one application.

    Args:
        app: the application.
        requires_token: whether `ACCESS_TOKEN` is set.
    """
    api = Api()
    api.ERROR_SCHEMA = FailureSchema
    api.DEFAULT_ERROR_RESPONSE_NAME = None
    # In this order: HeadPlugin copies what the other one has added.
    plugins = [*([AccessTokenPlugin()] if requires_token else []), HeadPlugin()]
    api.init_app(app, spec_kwargs={"extra_plugins": plugins})
    # flask-smorest's own pagination is not used.
    del api.spec.components.schemas["PaginationMetadata"]
    api.spec.components.response("304", {"description": "Not modified", "headers": headers("ETag")})
    for status, (description, detail) in FAILURES.items():
        if status == 401 and not requires_token:
            continue
        example: dict[str, Any] = {"detail": detail}
        if status == 400:
            example["errors"] = {"description": [detail]}
        schema = ValidationFailureSchema if status == 400 else FailureSchema
        api.spec.components.response(
            str(status),
            {
                "description": description,
                "headers": headers(*FAILURE_HEADERS.get(status, ())),
                "content": {"application/json": {"schema": schema, "example": example}},
            },
        )
    app.register_blueprint(blueprint)
    return api
