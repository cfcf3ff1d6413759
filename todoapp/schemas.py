"""What a request may say, and what a response says."""

from datetime import UTC, datetime
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields

from .models import DESCRIPTION_LENGTH


class Boolean(fields.Boolean):
    """`true` or `false`, and not what merely resembles them (1, "yes")."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> bool:
        if isinstance(value, bool):
            return value
        raise self.make_error("invalid")


class Timestamp(fields.DateTime):
    """An instant as RFC 3339 has it: in UTC, with six fractional digits and `Z`."""

    def _serialize(self, value: datetime, *args: Any, **kwargs: Any) -> str:  # type: ignore[override]
        utc = value.astimezone(UTC).replace(tzinfo=None)
        return utc.isoformat(timespec="microseconds") + "Z"


def check_description(description: str) -> None:
    """Raise a ValidationError unless `description` can be kept as it is."""
    if not description or description.isspace():
        raise ValidationError("description must not be empty")
    if len(description) > DESCRIPTION_LENGTH:
        raise ValidationError(f"description must not exceed {DESCRIPTION_LENGTH} characters")
    # PostgreSQL's text is UTF-8, which has no surrogates, and without NUL:
    # https://www.postgresql.org/docs/current/datatype-character.html
    if "\0" in description or any("\ud800" <= character <= "\udfff" for character in description):
        raise ValidationError("description must not contain NUL or a lone surrogate")


def description_field(**kwargs: Any) -> fields.String:
    """A description in a request: 1 to 500 characters, not white space only."""
    return fields.String(
        validate=check_description,
        error_messages={
            "required": "description is required",
            "null": "description must not be null",
            "invalid": "description must be a string",
        },
        metadata={
            "minLength": 1,
            "maxLength": DESCRIPTION_LENGTH,
            "pattern": r"^[^\u0000]*[^\s\u0000][^\u0000]*$",
            "example": "Buy groceries",
        },
        **kwargs,
    )


def completed_field(**kwargs: Any) -> Boolean:
    """The state of a todo in a request."""
    message = "completed must be true or false"
    return Boolean(
        error_messages={"invalid": message, "null": message},
        metadata={"example": True},
        **kwargs,
    )


class RequestSchema(Schema):
    """A JSON object. A client may send a whole todo back: what it cannot set is ignored."""

    class Meta:
        unknown = EXCLUDE

    error_messages = {"type": "a JSON object is expected"}  # noqa: RUF012


class TodoCreateSchema(RequestSchema):
    """A new todo."""

    description = description_field(required=True)
    completed = completed_field(load_default=False)


class TodoUpdateSchema(RequestSchema):
    """A change of a todo. What is absent or null is left as it is."""

    description = description_field(allow_none=True)
    completed = completed_field(allow_none=True)


class TodoSchema(Schema):
    """A todo in a response."""

    id = fields.Integer(required=True, metadata={"minimum": 1, "example": 1})
    description = fields.String(
        required=True,
        metadata={"minLength": 1, "maxLength": DESCRIPTION_LENGTH, "example": "Buy groceries"},
    )
    completed = fields.Boolean(required=True, metadata={"example": False})
    created_at = Timestamp(required=True, metadata={"example": "2025-12-28T10:00:00.123456Z"})
    updated_at = Timestamp(required=True, metadata={"example": "2025-12-28T10:00:00.123456Z"})


class ErrorSchema(Schema):
    """A failure."""

    detail = fields.String(
        required=True, metadata={"description": "What is wrong, for a person to read"}
    )


class ValidationErrorSchema(ErrorSchema):
    """A failure for what the request says."""

    errors = fields.Dict(
        keys=fields.String(),
        values=fields.List(fields.String()),
        metadata={"description": "What is wrong with each field"},
    )


class StatusSchema(Schema):
    """The state of the service."""

    status = fields.String(required=True)
