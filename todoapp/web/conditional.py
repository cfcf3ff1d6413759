"""Conditional requests: RFC 9110, section 13."""

from flask import Response, abort, request


def not_modified_or(response: Response, cache_control: str = "no-cache") -> Response:
    """Return 304 if `If-None-Match` has the ETag of `response`, else `response`.

    Args:
        response: a response with an ETag.
        cache_control: its `Cache-Control`; by default a cache must revalidate it each time.
    """
    if "If-None-Match" in request.headers:
        etag, _ = response.get_etag()
        if request.if_none_match.contains_weak(etag or ""):
            response.status_code = 304  # Werkzeug omits the body
    response.headers["Cache-Control"] = cache_control
    return response


def expected_versions() -> list[str] | None:
    """Return the ETags in `If-Match`; None if any version, or none, is expected."""
    tags = request.if_match
    if "If-Match" not in request.headers or tags.star_tag:
        return None
    # Werkzeug parses the empty ETag as None.
    return [tag for tag in tags.as_set() if tag]


def refuse_preconditions() -> None:
    """Refuse a request that expects a version, where the resource has none.

    Raises:
        BadRequest: the request has `If-Match` or `If-None-Match`.
    """
    for name in ("If-Match", "If-None-Match"):
        if name in request.headers:
            abort(400, f"{name} is not supported for bulk changes: a set of todos has no version")
