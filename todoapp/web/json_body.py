"""Reading of JSON bodies and query strings, and writing of JSON responses."""

import json
from typing import Any, NoReturn
from urllib.parse import unquote_to_bytes

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

from todoapp.config import MAX_BODY


class OrjsonProvider(JSONProvider):
    """Flask's JSON, written by orjson."""

    def dumps(self, obj: Any, **kwargs: Any) -> str:
        return orjson.dumps(obj).decode()

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        return orjson.loads(s)

    def response(self, *args: Any, **kwargs: Any) -> Response:
        body = orjson.dumps(self._prepare_response_obj(args, kwargs))
        return Response(body, mimetype="application/json")


class JSONBodyParser(FlaskParser):
    """webargs' parser, with the limits and the error messages of this API."""

    DEFAULT_VALIDATION_STATUS = 400

    def load_json(self, req: Request, schema: Schema) -> Any:
        """Return the parsed body.

        Raises:
            BadRequest: the body is not JSON in UTF-8 (RFC 8259).
            RequestEntityTooLarge: the body is longer than MAX_BODY.
            UnsupportedMediaType: the Content-Type is not JSON.
        """
        body = _body(req)
        if not body:
            raise BadRequest("Invalid JSON: the body is empty")
        if not req.is_json:
            raise UnsupportedMediaType("The Content-Type must be application/json")
        # Not orjson: to it a lone surrogate is a syntax error, and the response must name its field
        # (test_errors). Decoded first, because from bytes `json` also accepts UTF-16 and UTF-32.
        try:
            return json.loads(body.decode(), parse_constant=_refuse_constant)
        except UnicodeDecodeError as error:
            raise BadRequest("Invalid JSON: the body is not UTF-8") from error
        except json.JSONDecodeError as error:
            raise BadRequest(f"Invalid JSON: {error}") from error
        except ValueError as error:
            raise BadRequest("Invalid JSON: a number cannot be read") from error
        except RecursionError as error:
            raise BadRequest("Invalid JSON: the body is nested too deeply") from error

    def load_querystring(self, req: Request, schema: Schema) -> Any:
        """Return the parsed query string.

        Raises:
            BadRequest: the query string has bytes that are not UTF-8, raw or percent-encoded.
            ValidationError: a parameter of `schema` is repeated.
        """
        try:
            parameters = req.args
            # Werkzeug replaces percent-encoded ones by U+FFFD.
            unquote_to_bytes(req.query_string).decode()
        except UnicodeDecodeError as error:
            raise BadRequest("The query string is not UTF-8") from error
        repeated = [name for name in schema.fields if len(parameters.getlist(name)) > 1]
        if repeated:
            raise ValidationError({name: [f"{name} must not be repeated"] for name in repeated})
        return super().load_querystring(req, schema)

    def handle_error(self, error: ValidationError, *args: Any, **kwargs: Any) -> NoReturn:
        """Raise `error` unchanged: `web/errors.py` handles it."""
        raise error


def _body(req: Request) -> bytes:
    """Return the complete body."""
    length = req.content_length or 0
    if length > MAX_BODY:
        raise RequestEntityTooLarge
    try:
        body = req.get_data()
    except ClientDisconnected as error:
        raise BadRequest("Invalid JSON: the body is incomplete") from error
    if len(body) > MAX_BODY:
        raise RequestEntityTooLarge
    if len(body) < length:
        raise BadRequest("Invalid JSON: the body is incomplete")
    return body


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
