"""OpenTelemetry's instrumentation of psycopg2 sees the statements, but not what people wrote."""

from collections.abc import Callable, Iterator

import pytest
from flask import Flask
from opentelemetry.instrumentation.psycopg2 import Psycopg2Instrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    """Collects the spans of the connections that are opened during the test."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    instrumentor = Psycopg2Instrumentor()
    instrumentor.instrument(tracer_provider=provider)
    yield exporter
    instrumentor.uninstrument()


def test_each_statement_is_a_span_without_its_parameters(
    exporter: InMemorySpanExporter,
    make_app: Callable[..., Flask],
    databases: Callable[..., str],
    template: str,
) -> None:
    client = make_app(DATABASE_URL=databases(template)).test_client()
    # SQLAlchemy executes statements of its own on the first connection.
    assert client.get("/health").status_code == 200

    for method, path, body, statement in (
        ("POST", "/api/todos", {"description": "Milk"}, "INSERT INTO todos"),
        ("GET", "/api/todos/1", None, "SELECT"),
        ("GET", "/api/todos?search=milk&limit=10", None, "SELECT"),
        ("PATCH", "/api/todos/1", {"description": "Milk and bread"}, "UPDATE todos"),
        ("DELETE", "/api/todos/1", None, "DELETE FROM todos"),
    ):
        exporter.clear()
        assert client.open(path, method=method, json=body).status_code < 300
        (span,) = exporter.get_finished_spans()
        assert statement in str((span.attributes or {})["db.statement"])
        assert "milk" not in span.to_json().lower()
