"""Queries: which todos a request selects, keys, and opaque cursors for keyset pagination.

Knows neither SQL nor HTTP.
"""

import re
from base64 import b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from zlib import crc32

import orjson

MAX_ID = 2**31 - 1
"""The largest `integer` of PostgreSQL. For a larger number it would scan the whole table."""

MAX_LIMIT = 1000

MAX_OFFSET = 10_000
"""Skipped rows have to be read. Cursors reach every page at the same cost."""

SEARCH_LENGTH = 200

INVISIBLE = (
    r"\s\u001c-\u001f\u0085\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    r"\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8"
)
"""Characters that show nothing, as a class in the regular expressions of Python and ECMAScript:
white space, the default-ignorable code points, and the empty Braille pattern.
https://www.unicode.org/reports/tr44/#Default_Ignorable_Code_Point
"""

_ALL_INVISIBLE = re.compile(
    rf"[{INVISIBLE}\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]*"
)

TIMESTAMP = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")
"""The only form in which this service writes timestamps: RFC 3339, UTC, six fractional digits."""

Status = Literal["completed", "incomplete"]
SortBy = Literal["id", "created_at", "updated_at", "description"]
Order = Literal["asc", "desc"]
Key = tuple[int | str, ...]
"""The position of a todo in a sorted list: the value it is sorted by, then `id` as a tiebreaker."""


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The todos with the given status, if any, that contain every word of `search`.

    A word matches from its beginning. Case, accents and equivalent spellings do not matter. A
    symbol is a word of its own: see migration 007.
    """

    status: Status | None = None
    search: str = ""
    updated_before: datetime | None = None
    """Todos that were changed later are not selected."""

    @property
    def words(self) -> str:
        """Return `search`, empty if it has no visible character."""
        # PostgreSQL's text has no NUL, so no word of a todo has one.
        words = self.search.replace("\0", " ")
        return "" if is_invisible(words) else words


@dataclass(frozen=True, kw_only=True)
class Listing(Selection):
    """A sorted and paginated list of the selected todos. Without `limit`, all of them."""

    sort_by: SortBy = "id"
    order: Order = "asc"
    after: Key | None = None
    offset: int = 0
    limit: int | None = None
    count: bool = False

    @property
    def has_index(self) -> bool:
        """Return whether the list can be continued where an index scan stopped."""
        return not self.words and self.sort_by != "updated_at"


def is_invisible(text: str) -> bool:
    """Return whether `text` has no visible character."""
    return _ALL_INVISIBLE.fullmatch(text) is not None


def key_fields(sort_by: SortBy) -> tuple[str, ...]:
    """Return the names of the values that form the key."""
    match sort_by:
        case "id":
            return ("id",)
        case "description":
            return ("sort_key", "id")
    return (sort_by, "id")


def _key_part(name: str, value: Any) -> int | str:
    """Return `value` if a todo can have it in the field `name`."""
    match name, value:
        case "id", int() if type(value) is int and 1 <= value <= MAX_ID:
            return value
        case "sort_key", str() if "\0" not in value:
            return value
        case "created_at" | "updated_at", str() if parse_timestamp(value):
            return value
    raise ValueError(f"no todo has such a {name}")


def parse_timestamp(text: str) -> datetime:
    """Return the time that `text` stands for.

    Raises:
        ValueError: this service does not write timestamps like `text`.
    """
    if not TIMESTAMP.fullmatch(text):
        raise ValueError("not a timestamp")
    return datetime.fromisoformat(text)


def format_timestamp(utc: datetime) -> str:
    """Return a timestamp as in the JSON of a todo."""
    return f"{utc.isoformat(timespec='microseconds')}Z"


def encode_cursor(listing: Listing, last: Key) -> str:
    """Return a cursor to what follows the todo with the key `last` in `listing`."""
    return urlsafe_b64encode(orjson.dumps([_fingerprint(listing), *last])).decode().rstrip("=")


def decode_cursor(listing: Listing, cursor: str) -> Key:
    """Return the key that was passed to `encode_cursor()`.

    Raises:
        ValueError: the cursor is malformed, or belongs to another query.
    """
    padding = "=" * (-len(cursor) % 4)
    parts = orjson.loads(b64decode(cursor + padding, altchars=b"-_", validate=True))
    if not isinstance(parts, list) or parts[:1] != [_fingerprint(listing)]:
        raise ValueError("belongs to another query")
    names = key_fields(listing.sort_by)
    return tuple(_key_part(name, part) for name, part in zip(names, parts[1:], strict=True))


def _fingerprint(listing: Listing) -> int:
    """Return a checksum of the query that a cursor belongs to."""
    sort_key, *_ = key_fields(listing.sort_by)
    return crc32(repr((listing.status, listing.search, sort_key, listing.order)).encode())
