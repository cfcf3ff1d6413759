"""Schemas of requests and responses."""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, get_args

from marshmallow import (
    EXCLUDE,
    Schema,
    ValidationError,
    fields,
    post_load,
    validate,
    validates_schema,
)

from .models import DESCRIPTION_LENGTH
from .queries import (
    INVISIBLE,
    MAX_LIMIT,
    MAX_OFFSET,
    SEARCH_LENGTH,
    Listing,
    Order,
    Selection,
    SortBy,
    Status,
    decode_cursor,
    is_invisible,
)

VISIBLE = rf"[^\u0000{INVISIBLE}]"
"""A visible character, as a regular expression of ECMAScript, which JSON Schema uses."""


RFC_3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?"
    r"([Zz]|[+-][0-9]{2}:[0-9]{2})"
)


class Boolean(fields.Boolean):
    """`true` or `false`, without marshmallow's synonyms (1, "yes")."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> bool:
        if isinstance(value, bool):
            return value
        raise self.make_error("invalid")


def check_description(description: str) -> None:
    """Raise a ValidationError unless `description` can be stored unchanged."""
    if is_invisible(description):
        raise ValidationError("description must not be empty")
    if len(description) > DESCRIPTION_LENGTH:
        raise ValidationError(f"description must not exceed {DESCRIPTION_LENGTH} characters")
    # PostgreSQL's text is UTF-8, which has no surrogates, and without NUL:
    # https://www.postgresql.org/docs/current/datatype-character.html
    if "\0" in description or any("\ud800" <= character <= "\udfff" for character in description):
        raise ValidationError("description must not contain NUL or a lone surrogate")


def description_field(**kwargs: Any) -> fields.String:
    """Return the field of a description: 1 to 500 characters, not only white space."""
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
            "pattern": rf"^[^\u0000]*{VISIBLE}[^\u0000]*$",
            "example": "Buy groceries",
        },
        **kwargs,
    )


def completed_field(metadata: dict[str, str] | None = None, **kwargs: Any) -> Boolean:
    """Return the field `completed`."""
    message = "completed must be true or false"
    return Boolean(
        error_messages={"invalid": message, "null": message, "required": message},
        metadata={"example": True, **(metadata or {})},
        **kwargs,
    )


class RequestSchema(Schema):
    """A JSON object. Unknown fields are ignored, so a client may send a whole todo back."""

    class Meta:
        unknown = EXCLUDE

    error_messages = {"type": "a JSON object is expected"}  # noqa: RUF012


class WholeNumber(fields.Integer):
    """An integer in ASCII digits, without Python's other notations (+1, 1_000)."""

    def __init__(self, name: str, least: int, most: int, **kwargs: Any) -> None:
        message = f"{name} must be a whole number from {least} to {most}"
        super().__init__(
            validate=validate.Range(least, most, error=message),
            error_messages={"invalid": message},
            **kwargs,
        )

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> int:
        if re.fullmatch("[0-9]{1,10}", value):
            return int(value)
        raise self.make_error("invalid")


def choice_field(name: str, choices: Any, **kwargs: Any) -> fields.String:
    """Return a field with the values of a `Literal`."""
    words = get_args(choices)
    return fields.String(
        validate=validate.OneOf(words, error=f"{name} must be one of: {', '.join(words)}"),
        error_messages={"required": f"{name} is required: {' or '.join(words)}"},
        **kwargs,
    )


def search_field(**metadata: str) -> fields.String:
    """Return the field `search`."""
    return fields.String(
        validate=validate.Length(
            max=SEARCH_LENGTH, error=f"search must not exceed {SEARCH_LENGTH} characters"
        ),
        metadata={
            "description": "Only todos that contain every one of these words, of which at most"
            " eight are used. A word matches from its beginning; case and accents do not matter",
            "example": "gro mil",
            **metadata,
        },
    )


class SelectionSchema(Schema):
    """A selection of todos, in a query string."""

    class Meta:
        unknown = EXCLUDE

    status = choice_field("status", Status, metadata={"description": "Only todos with this status"})
    search = search_field()

    @post_load
    def make(self, data: dict[str, Any], **kwargs: Any) -> Selection:
        """Return a `Selection`."""
        return Selection(**data)


class Timestamp(fields.Field[datetime]):
    """A time in RFC 3339."""

    default_error_messages = {  # noqa: RUF012
        "invalid": "{name} must be an RFC 3339 time such as 2025-12-28T10:00:00Z, with + as %2B"
    }

    def _deserialize(self, value: Any, attr: str | None, *args: Any, **kwargs: Any) -> datetime:
        if not RFC_3339.fullmatch(value):
            raise self.make_error("invalid", name=attr)
        try:
            time = datetime.fromisoformat(value.upper())
        except ValueError as error:  # 31 February
            raise self.make_error("invalid", name=attr) from error
        try:
            return time.astimezone(UTC)
        except OverflowError:  # the year 0 or 10000 in UTC
            return (datetime.min if time.year == 1 else datetime.max).replace(tzinfo=UTC)


class BulkSelectionSchema(SelectionSchema):
    """The todos of a bulk change. A missing status, or anything that has no effect, is refused."""

    status = choice_field("status", Status, required=True)
    search = search_field(pattern=VISIBLE)
    updated_before = Timestamp(
        metadata={
            "type": "string",
            "format": "date-time",
            "description": "Leave todos alone that were changed after this time",
            "example": "2025-12-28T10:00:00.123456Z",
        }
    )

    @validates_schema(pass_original=True)
    def refuse_unsupported(
        self, data: dict[str, Any], original: Mapping[str, Any], **kwargs: Any
    ) -> None:
        """Raise a ValidationError for parameters that would not limit the change."""
        errors = {
            name: [f"{name} is not supported for bulk changes"]
            for name in ("limit", "offset", "cursor")
            if name in original
        }
        if "search" in data and not Selection(search=data["search"]).words:
            errors["search"] = ["search must not be empty for bulk changes"]
        if errors:
            raise ValidationError(errors)


class ListingSchema(SelectionSchema):
    """A list, in a query string."""

    sort_by = choice_field(
        "sort_by",
        SortBy,
        metadata={"description": "Todos with equal values are sorted by `id`", "default": "id"},
    )
    order = choice_field("order", Order, metadata={"default": "asc"})
    limit = WholeNumber(
        "limit", 1, MAX_LIMIT, metadata={"description": "Maximum number of todos; without it, all"}
    )
    offset = WholeNumber(
        "offset",
        0,
        MAX_OFFSET,
        metadata={
            "description": "Number of todos to skip; further pages need `cursor`",
            "default": 0,
        },
    )
    cursor = fields.String(
        metadata={
            "description": "Position in the list: from the `Link` of the previous page",
            "minLength": 1,
        }
    )
    count = fields.Boolean(
        truthy={"true"},
        falsy={"false"},
        error_messages={"invalid": "count must be true or false"},
        metadata={
            "description": "Return the total number in `X-Total-Count`",
            "default": False,
        },
    )

    @post_load
    def make(self, data: dict[str, Any], **kwargs: Any) -> Listing:
        """Return a `Listing`."""
        cursor = data.pop("cursor", None)
        listing = Listing(**data)
        if cursor is None:
            return listing
        try:
            return replace(listing, after=decode_cursor(listing, cursor))
        except ValueError as error:
            message = "cursor is malformed, or belongs to another sort_by, order, status or search"
            raise ValidationError(message, "cursor") from error


class BulkUpdateSchema(RequestSchema):
    """A bulk change."""

    completed = completed_field(required=True)


class TodoCreateSchema(RequestSchema):
    """A new todo."""

    description = description_field(required=True)
    # Without a default in the schema: openapi-typescript makes such a field a required one.
    completed = completed_field(metadata={"description": "`false` if absent"})


class TodoUpdateSchema(RequestSchema):
    """A change of a todo: the fields that the request names. These two cannot be cleared."""

    description = description_field(allow_none=True)
    completed = completed_field(allow_none=True)

    @post_load
    def ignore_null(self, data: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """Leave a field unchanged if it is null."""
        required = ("description", "completed")
        return {k: v for k, v in data.items() if v is not None or k not in required}


TIMESTAMP_METADATA = {
    "description": "RFC 3339 in UTC, always with six fractional digits and Z",
    "example": "2025-12-28T10:00:00.123456Z",
}


class TodoSchema(Schema):
    """A todo in a response, for the API description: PostgreSQL writes it (`todo_json()`)."""

    id = fields.Integer(required=True, metadata={"minimum": 1, "example": 1})
    description = fields.String(
        required=True,
        metadata={"minLength": 1, "maxLength": DESCRIPTION_LENGTH, "example": "Buy groceries"},
    )
    completed = fields.Boolean(required=True, metadata={"example": False})
    created_at = fields.AwareDateTime(required=True, metadata=TIMESTAMP_METADATA)
    updated_at = fields.AwareDateTime(required=True, metadata=TIMESTAMP_METADATA)


class UpdatedSchema(Schema):
    """The number of changed todos."""

    updated = fields.Integer(required=True, metadata={"minimum": 0, "example": 3})


class DeletedSchema(Schema):
    """The number of deleted todos."""

    deleted = fields.Integer(required=True, metadata={"minimum": 0, "example": 3})
