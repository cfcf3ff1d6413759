"""/api/todos: HTTP in, one call of the service, HTTP out."""

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Any
from urllib.parse import urlencode

from flask import Response, request, stream_with_context, url_for
from flask_smorest import Blueprint
from psycopg2.errors import CheckViolation
from werkzeug.urls import iri_to_uri

from todoapp.web.conditional import expected_versions, not_modified_or, refuse_preconditions
from todoapp.web.errors import abort_stream_on_error, error_response, handle_database_error
from todoapp.web.idempotency import idempotency_key
from todoapp.web.json_body import JSONBodyParser
from todoapp.web.openapi import (
    IDEMPOTENCY_KEY,
    IF_MATCH,
    IF_NONE_MATCH,
    headers,
    reads_header,
    responses,
)

from . import lists, service
from .lists import Batch
from .queries import Listing, Selection, encode_cursor
from .schemas import (
    BulkSelectionSchema,
    BulkUpdateSchema,
    DeletedSchema,
    ListingSchema,
    TodoCreateSchema,
    TodoSchema,
    TodoUpdateSchema,
    UpdatedSchema,
)
from .service import IdempotencyKeyReused, StoredTodo, TodoChanged, TodoNotFound

blueprint = Blueprint("todos", __name__, url_prefix="/api/todos", description="Todos")
blueprint.ARGUMENTS_PARSER = JSONBodyParser()
# Schemas are passed as objects: webargs would instantiate a class for each request.
LISTING = ListingSchema()


@blueprint.errorhandler(TodoNotFound)
def handle_not_found(error: TodoNotFound) -> Response:
    """Return 404."""
    return error_response(404, str(error))


@blueprint.errorhandler(TodoChanged)
def handle_changed(error: TodoChanged) -> Response:
    """Return 412: `If-Match` names another version."""
    return error_response(412, str(error))


@blueprint.errorhandler(CheckViolation)
def handle_last_time(error: CheckViolation) -> Response:
    """Return 409: no time that RFC 3339 can express is later than that of the last change."""
    if error.diag.constraint_name != "ck_todos_updated_at_range":
        return handle_database_error(error)
    return error_response(409, "A todo cannot be changed after the year 9999")


@blueprint.errorhandler(IdempotencyKeyReused)
def handle_key_reused(error: IdempotencyKeyReused) -> Response:
    """Return 422: the draft's status for a key that is reused with another body."""
    return error_response(422, str(error))


@blueprint.get("")
@blueprint.doc(operationId="listTodos", **responses(304, 503))
@reads_header(IF_NONE_MATCH)
@blueprint.arguments(LISTING, location="query")
@blueprint.response(200, TodoSchema(many=True), headers=headers("ETag", "Link", "X-Total-Count"))
def list_todos(listing: Listing) -> Response:
    """List todos, optionally filtered, sorted and paginated

    Without `limit` the whole list is streamed. With it, `Link` has the URL of the next page, and
    `ETag` the version of this one.
    """
    if listing.limit is not None:
        return _page(listing, lists.read_batch(listing, listing.limit))
    if request.method == "HEAD":
        return _list_response(iter(()), lists.read_batch(listing, 0))
    batches = lists.read_batches(listing)
    first = next(batches)
    if first.last is None:
        return _list_response(_array(first), first)
    return _list_response(stream_with_context(_stream(first, batches)), first)


@blueprint.post("")
@blueprint.doc(operationId="createTodo", **responses(403, 404, 415, 422, 503))
@reads_header(IDEMPOTENCY_KEY)
@blueprint.arguments(TodoCreateSchema())
@blueprint.response(201, TodoSchema, headers=headers("Location", "ETag", "Idempotent-Replayed"))
def create_todo(fields: dict[str, Any]) -> Response:
    """Create a todo

    With an `Idempotency-Key`, the request can be repeated safely: it creates one todo, and a
    repetition returns that todo as it is now, or 404 if it has been deleted.
    """
    key = idempotency_key()
    if key is None:
        todo, replayed = service.create_todo(fields), False
    else:
        todo, replayed = service.create_todo_once(fields, key)
    response = _todo_response(todo, 201)
    if replayed:
        response.headers["Idempotent-Replayed"] = "true"
    response.headers["Location"] = url_for("todos.get_todo", todo_id=todo.id)
    return response


@blueprint.patch("")
@blueprint.doc(operationId="updateTodos", **responses(403, 409, 415, 503))
@blueprint.arguments(BulkSelectionSchema(), location="query")
@blueprint.arguments(BulkUpdateSchema())
@blueprint.response(200, UpdatedSchema)
def update_todos(selection: Selection, fields: dict[str, Any]) -> dict[str, int]:
    """Complete or reopen all todos with a status, optionally only those that match a search

    Atomic: if it fails, nothing is changed.
    """
    refuse_preconditions()
    return {"updated": lists.update_all(selection, **fields)}


@blueprint.delete("")
@blueprint.doc(operationId="deleteTodos", **responses(403, 503))
@blueprint.arguments(BulkSelectionSchema(), location="query")
@blueprint.response(200, DeletedSchema)
def delete_todos(selection: Selection) -> dict[str, int]:
    """Delete all todos with a status permanently, optionally only those that match a search

    Atomic: if it fails, nothing is deleted.
    """
    refuse_preconditions()
    return {"deleted": lists.delete_all(selection)}


@blueprint.get("/<int(signed=True):todo_id>")
@blueprint.doc(operationId="readTodo", **responses(304, 404, 503))
@reads_header(IF_NONE_MATCH)
@blueprint.response(200, TodoSchema, headers=headers("ETag"))
def get_todo(todo_id: int) -> Response:
    """Read a todo"""
    return not_modified_or(_todo_response(service.get_todo(todo_id)))


@blueprint.patch("/<int(signed=True):todo_id>")
@blueprint.doc(operationId="updateTodo", **responses(403, 404, 409, 412, 415, 503))
@reads_header(IF_MATCH)
@blueprint.arguments(TodoUpdateSchema())
@blueprint.response(200, TodoSchema, headers=headers("ETag"))
def update_todo(fields: dict[str, Any], todo_id: int) -> Response:
    """Change a todo

    A field that is absent or null keeps its value.
    """
    return _todo_response(service.update_todo(todo_id, fields, expected_versions()))


@blueprint.delete("/<int(signed=True):todo_id>")
@blueprint.doc(operationId="deleteTodo", **responses(403, 404, 412, 503))
@reads_header(IF_MATCH)
@blueprint.response(204)
def delete_todo(todo_id: int) -> None:
    """Delete a todo permanently"""
    service.delete_todo(todo_id, expected_versions())


def _todo_response(todo: StoredTodo, status: int = 200) -> Response:
    response = Response(todo.json, status, mimetype="application/json")
    response.set_etag(todo.version)
    return response


def _list_response(body: bytes | Iterable[bytes], batch: Batch) -> Response:
    response = Response(body, mimetype="application/json")
    if batch.total is not None:
        response.headers["X-Total-Count"] = str(batch.total)
    return response


def _page(listing: Listing, batch: Batch) -> Response:
    response = _list_response(_array(batch), batch)
    if batch.last is not None:
        # Without unknown parameters: proxies limit the length of a header.
        kept = {name: request.args[name] for name in LISTING.fields if name in request.args}
        query = {**kept, "cursor": encode_cursor(listing, batch.last)}
        query.pop("offset", None)
        # HTTP/1.0 has no Host, and Werkzeug rejects one with an underscore: use a relative URL.
        has_host = "Host" in request.headers and request.host
        url = iri_to_uri(request.base_url) if has_host else request.path
        link = f"{url}?{urlencode(query)}"
        response.headers["Link"] = f'<{link}>; rel="next"'
    # The page has changed also if only these headers have.
    meta = (response.headers.get("Link"), response.headers.get("X-Total-Count"))
    response.set_etag(blake2b(repr(meta).encode() + response.data, digest_size=16).hexdigest())
    return not_modified_or(response)


def _array(batch: Batch) -> bytes:
    return b"[%b]" % batch.todos


def _stream(first: Batch, batches: Iterator[Batch]) -> Iterator[bytes]:
    yield b"[" + first.todos
    del first  # free its memory: the client may be slow
    with abort_stream_on_error():
        for batch in batches:
            # Empty if the remaining todos have been deleted meanwhile.
            if batch.todos:
                yield b","
                yield batch.todos
    yield b"]"
