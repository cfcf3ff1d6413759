"""JSON in requests and responses."""

import json
from typing import Any, NoReturn

import orjson
from flask import Request, Response
from flask.json.provider import JSONProvider
from marshmallow import Schema, ValidationError
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import (
    BadRequest,
    ClientDisconnected,
    RequestEntityTooLarge,
    UnsupportedMediaType,
)

from .config import MAX_BODY


class OrjsonProvider(JSONProvider):
    """Flask's JSON by orjson: bytes without a detour by way of `str`."""

    def dumps(self, obj: Any, **kwargs: Any) -> str:
        return orjson.dumps(obj).decode()

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        return orjson.loads(s)

    def response(self, *args: Any, **kwargs: Any) -> Response:
        body = orjson.dumps(self._prepare_response_obj(args, kwargs))
        return Response(body, mimetype="application/json")


class JSONBodyParser(FlaskParser):
    """Reads a request's body as one JSON object, and its query string."""

    DEFAULT_VALIDATION_STATUS = 400

    def load_json(self, req: Request, schema: Schema) -> Any:
        """Return what the body says.

        Raises:
            BadRequest: it is not JSON in UTF-8 (RFC 8259).
            RequestEntityTooLarge: it is longer than MAX_BODY.
            UnsupportedMediaType: it does not say that it is JSON.
        """
        body = _body(req)
        if not body:
            raise BadRequest("Invalid JSON: the body is empty")
        if not req.is_json:
            raise UnsupportedMediaType("The Content-Type must be application/json")
        # Not orjson: it takes a lone surrogate for a syntax error, where the answer is to name
        # the field that holds it. From bytes, `json` would guess at UTF-16 and UTF-32.
        try:
            return json.loads(body.decode(), parse_constant=_refuse_constant)
        except UnicodeDecodeError as error:
            raise BadRequest("Invalid JSON: the body is not UTF-8") from error
        except json.JSONDecodeError as error:
            raise BadRequest(f"Invalid JSON: {error}") from error
        except ValueError as error:
            raise BadRequest("Invalid JSON: a number that cannot be read") from error
        except RecursionError as error:
            raise BadRequest("Invalid JSON: the body is nested too deep") from error

    def load_querystring(self, req: Request, schema: Schema) -> Any:
        """Return what the query string says.

        Raises:
            BadRequest: it has bytes, not percent-encoded, that are no UTF-8.
        """
        try:
            return super().load_querystring(req, schema)
        except UnicodeDecodeError as error:
            raise BadRequest("The query string is not UTF-8") from error

    def handle_error(self, error: ValidationError, *args: Any, **kwargs: Any) -> NoReturn:
        """Raise `error` as it is: `errors.py` knows what to answer."""
        raise error


def _body(req: Request) -> bytes:
    """Return the whole body, or none of it."""
    length = req.content_length or 0
    if length > MAX_BODY:
        raise RequestEntityTooLarge
    try:
        body = req.get_data()
    except ClientDisconnected as error:
        raise BadRequest("Invalid JSON: the body breaks off") from error
    if len(body) > MAX_BODY:
        raise RequestEntityTooLarge
    if len(body) < length:
        raise BadRequest("Invalid JSON: the body breaks off")
    return body


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
