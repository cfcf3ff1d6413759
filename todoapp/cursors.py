"""Where a list goes on, in a word that a client gets, keeps and sends back."""

from base64 import b64decode, urlsafe_b64encode
from zlib import crc32

import orjson

from .lists import Key, Listing, key, key_fields


def encode_cursor(listing: Listing, last: Key) -> str:
    """Return a cursor for what follows the todo with the key `last` in `listing`."""
    return urlsafe_b64encode(orjson.dumps([_mark(listing), *last])).decode().rstrip("=")


def decode_cursor(listing: Listing, cursor: str) -> Key:
    """Return the key that `encode_cursor()` was given.

    Raises:
        ValueError: the cursor is malformed, or was made for another sort or selection.
    """
    padding = "=" * (-len(cursor) % 4)
    parts = orjson.loads(b64decode(cursor + padding, altchars=b"-_", validate=True))
    if not isinstance(parts, list) or parts[:1] != [_mark(listing)]:
        raise ValueError("made for another list")
    return key(listing.sort_by, dict(zip(key_fields(listing.sort_by), parts[1:], strict=True)))


def _mark(listing: Listing) -> int:
    """Return what tells lists apart whose cursors must not be mixed up."""
    return crc32(repr((listing.status, listing.search, listing.sort_by, listing.order)).encode())
