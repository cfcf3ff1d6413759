"""The Idempotency-Key header: draft-ietf-httpapi-idempotency-key-header.

https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/
"""

import re

from flask import abort, request


def idempotency_key() -> str | None:
    """Return the `Idempotency-Key` of the request; None if it has none.

    Raises:
        BadRequest: the key is not 1 to 255 printable ASCII characters.
    """
    key = request.headers.get("Idempotency-Key")
    if key is not None and not re.fullmatch("[ -~]{1,255}", key):
        abort(400, "Idempotency-Key must be 1 to 255 printable ASCII characters")
    return key
