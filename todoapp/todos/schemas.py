"""What a request may say, and what a response says."""

import re
from collections.abc import Mapping
from dataclasses import replace
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
    MAX_ID,
    MAX_LIMIT,
    SEARCH_LENGTH,
    Listing,
    Order,
    Selection,
    SortBy,
    Status,
    decode_cursor,
)

NO_SPACE = r"(?:[^\s\u001c-\u001f\u0085\u0000]|\ufeff)"
"""One character that is neither NUL nor white space as Python has it, for ECMAScript, whose `\\s`
is a little different: JSON Schema's patterns are ECMAScript's."""


class Boolean(fields.Boolean):
    """`true` or `false`, and not what merely resembles them (1, "yes")."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> bool:
        if isinstance(value, bool):
            return value
        raise self.make_error("invalid")


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
            "pattern": rf"^[^\u0000]*{NO_SPACE}[^\u0000]*$",
            "example": "Buy groceries",
        },
        **kwargs,
    )


def completed_field(**kwargs: Any) -> Boolean:
    """The state of a todo in a request."""
    message = "completed must be true or false"
    return Boolean(
        error_messages={"invalid": message, "null": message, "required": message},
        metadata={"example": True},
        **kwargs,
    )


class RequestSchema(Schema):
    """A JSON object. A client may send a whole todo back: what it cannot set is ignored."""

    class Meta:
        unknown = EXCLUDE

    error_messages = {"type": "a JSON object is expected"}  # noqa: RUF012


class WholeNumber(fields.Integer):
    """Digits, and not what else Python takes for a number (+1, 1_000)."""

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
    """One of the words of a `Literal`."""
    words = get_args(choices)
    return fields.String(
        validate=validate.OneOf(words, error=f"{name} must be one of: {', '.join(words)}"),
        error_messages={"required": f"{name} is required: {' or '.join(words)}"},
        **kwargs,
    )


def search_field(**metadata: str) -> fields.String:
    """The words that a todo has to contain."""
    return fields.String(
        validate=validate.Length(
            max=SEARCH_LENGTH, error=f"search must not exceed {SEARCH_LENGTH} characters"
        ),
        metadata={
            "description": "Only todos that contain every word of it, each one matched from its"
            " beginning, in upper or lower case",
            "example": "gro mil",
            **metadata,
        },
    )


class SelectionSchema(Schema):
    """Which todos, in a query string."""

    class Meta:
        unknown = EXCLUDE

    status = choice_field("status", Status, metadata={"description": "Only todos in this state"})
    search = search_field()

    @post_load
    def make(self, data: dict[str, Any], **kwargs: Any) -> Selection:
        """Return what the service takes."""
        return Selection(**data)


class SomeTodosSchema(SelectionSchema):
    """Which todos to change. What was forgotten, or means less than it seems, is refused."""

    status = choice_field("status", Status, required=True)
    search = search_field(pattern=NO_SPACE)

    @validates_schema(pass_original=True)
    def check_what_narrows(
        self, data: dict[str, Any], original: Mapping[str, Any], **kwargs: Any
    ) -> None:
        """Raise a ValidationError where fewer todos seem to be meant than would be changed."""
        errors = {
            name: [f"{name} does not narrow what is changed"]
            for name in ("limit", "offset", "cursor")
            if name in original
        }
        if "search" in data and not Selection(search=data["search"]).words:
            errors["search"] = ["search must not be empty where todos are changed"]
        if errors:
            raise ValidationError(errors)


class ListingSchema(SelectionSchema):
    """A list, in a query string."""

    sort_by = choice_field(
        "sort_by",
        SortBy,
        metadata={"description": "Ties are in the order of `id`", "default": "id"},
    )
    order = choice_field("order", Order, metadata={"default": "asc"})
    limit = WholeNumber(
        "limit", 1, MAX_LIMIT, metadata={"description": "As many at most; absent: all of them"}
    )
    offset = WholeNumber(
        "offset",
        0,
        MAX_ID,
        metadata={"description": "Leave out as many at the beginning", "default": 0},
    )
    cursor = fields.String(
        metadata={"description": "Where to go on: from the `Link` of the page before"}
    )
    count = fields.Boolean(
        truthy={"true"},
        falsy={"false"},
        error_messages={"invalid": "count must be true or false"},
        metadata={
            "description": "Say in `X-Total-Count` how many there are in all",
            "default": False,
        },
    )

    @post_load
    def make(self, data: dict[str, Any], **kwargs: Any) -> Listing:
        """Return what the service takes."""
        cursor = data.pop("cursor", None)
        listing = Listing(**data)
        if cursor is None:
            return listing
        try:
            return replace(listing, after=decode_cursor(listing, cursor))
        except ValueError as error:
            message = "cursor is malformed, or of a list with another sort, status or search"
            raise ValidationError(message, "cursor") from error


class SomeTodosUpdateSchema(RequestSchema):
    """A change of many todos."""

    completed = completed_field(required=True)


class TodoCreateSchema(RequestSchema):
    """A new todo."""

    description = description_field(required=True)
    completed = completed_field(load_default=False)


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
    """A todo in a response. PostgreSQL writes it (`Todo.json`); here it is described."""

    id = fields.Integer(required=True, metadata={"minimum": 1, "example": 1})
    description = fields.String(
        required=True,
        metadata={"minLength": 1, "maxLength": DESCRIPTION_LENGTH, "example": "Buy groceries"},
    )
    completed = fields.Boolean(required=True, metadata={"example": False})
    created_at = fields.AwareDateTime(required=True, metadata=TIMESTAMP_METADATA)
    updated_at = fields.AwareDateTime(required=True, metadata=TIMESTAMP_METADATA)


class UpdatedSchema(Schema):
    """How many todos were changed."""

    updated = fields.Integer(required=True, metadata={"minimum": 0, "example": 3})


class DeletedSchema(Schema):
    """How many todos were removed."""

    deleted = fields.Integer(required=True, metadata={"minimum": 0, "example": 3})
