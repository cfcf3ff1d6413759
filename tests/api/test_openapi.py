"""/openapi.json documents the service completely and correctly; /docs renders it."""

import re
from typing import Any

import pytest
import schemathesis
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode

from tests.support.todos import FIELDS

# Possible for every operation. All but 405 and 500 come from the web server, for malformed HTTP.
COMMON_STATUSES = {"400", "405", "408", "413", "414", "417", "431", "500", "501"}
STATUSES = {
    ("get", "/api/todos"): {"200", "304", "503"},
    ("post", "/api/todos"): {"201", "403", "404", "415", "422", "503"},
    ("patch", "/api/todos"): {"200", "403", "409", "415", "503"},
    ("delete", "/api/todos"): {"200", "403", "503"},
    ("get", "/api/todos/{todo_id}"): {"200", "304", "404", "503"},
    ("patch", "/api/todos/{todo_id}"): {"200", "403", "404", "409", "412", "415", "503"},
    ("delete", "/api/todos/{todo_id}"): {"204", "403", "404", "412", "503"},
    ("get", "/health"): {"200", "503"},
    ("get", "/health/live"): {"200"},
}
STATUSES |= {("head", path): STATUSES[method, path] for method, path in STATUSES if method == "get"}
Operations = dict[tuple[str, str], dict[str, Any]]
IDS = {
    ("get", "/api/todos"): "listTodos",
    ("post", "/api/todos"): "createTodo",
    ("patch", "/api/todos"): "updateTodos",
    ("delete", "/api/todos"): "deleteTodos",
    ("get", "/api/todos/{todo_id}"): "readTodo",
    ("patch", "/api/todos/{todo_id}"): "updateTodo",
    ("delete", "/api/todos/{todo_id}"): "deleteTodo",
    ("get", "/health"): "readiness",
    ("get", "/health/live"): "liveness",
}
IDS |= {("head", path): f"{IDS[method, path]}Head" for method, path in IDS if method == "get"}
BUILT_IN = {"Date", "Error", "ErrorResponse", "Exception", "Map", "Object", "Request", "Response"}
"""Names that generated clients in JavaScript, Swift or Python would replace, or rename."""


@pytest.fixture
def document(client: FlaskClient) -> dict[str, Any]:
    response = client.get("/openapi.json")
    assert response.status_code == 200
    assert response.mimetype == "application/json"
    return response.get_json()


@pytest.fixture
def components(document: dict[str, Any]) -> dict[str, Any]:
    return document["components"]


def test_the_document_is_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")


def test_the_document_names_the_server_the_license_and_no_security(
    document: dict[str, Any],
) -> None:
    assert document["servers"] == [{"url": "/"}]
    assert document["info"]["license"] == {"name": "MIT", "identifier": "MIT"}
    assert document["security"] == []


@pytest.fixture
def operations(document: dict[str, Any]) -> Operations:
    return {
        (method, path): operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method != "parameters"
    }


def test_every_operation_documents_every_status(operations: Operations) -> None:
    assert {key: set(operation["responses"]) for key, operation in operations.items()} == {
        key: COMMON_STATUSES | specific for key, specific in STATUSES.items()
    }


def test_every_operation_has_a_stable_id_a_summary_and_a_tag(operations: Operations) -> None:
    assert {key: operation["operationId"] for key, operation in operations.items()} == IDS
    for operation in operations.values():
        assert operation["summary"]
        assert operation["tags"] in (["todos"], ["health"])


def test_head_is_described_as_get_without_a_body(
    operations: Operations, components: dict[str, Any]
) -> None:
    for (method, path), head in operations.items():
        if method != "head":
            continue
        get = operations["get", path]
        assert head.get("parameters") == get.get("parameters")
        for status, response in get["responses"].items():
            described = components["responses"][status] if "$ref" in response else response
            assert head["responses"][status] == {
                key: value for key, value in described.items() if key != "content"
            }


def test_no_schema_has_the_name_of_a_built_in_class(components: dict[str, Any]) -> None:
    assert set(components["schemas"]) & BUILT_IN == set()


def test_every_api_route_is_documented(app: Flask, document: dict[str, Any]) -> None:
    routes = {
        re.sub(r"<.*:(\w+)>", r"{\1}", rule.rule)
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith(("/api/", "/health"))
    }

    assert routes == set(document["paths"])


def test_every_list_parameter_is_documented(document: dict[str, Any]) -> None:
    parameters = {
        parameter["name"]: parameter["schema"]
        for parameter in document["paths"]["/api/todos"]["get"]["parameters"]
    }

    assert set(parameters) == {
        *("search", "status", "sort_by", "order", "limit", "offset", "cursor", "count"),
        "If-None-Match",
    }
    assert parameters["status"]["enum"] == ["completed", "incomplete"]
    assert parameters["sort_by"]["enum"] == ["id", "created_at", "updated_at", "description"]
    assert (parameters["limit"]["minimum"], parameters["limit"]["maximum"]) == (1, 1000)
    assert parameters["search"]["maxLength"] == 200
    assert parameters["cursor"]["minLength"] == 1


@pytest.mark.parametrize("method", ["patch", "delete"])
def test_bulk_operations_require_a_status(document: dict[str, Any], method: str) -> None:
    parameters = document["paths"]["/api/todos"][method]["parameters"]

    required = {parameter["name"] for parameter in parameters if parameter["required"]}
    assert {parameter["name"] for parameter in parameters} == {
        *("search", "status", "updated_before"),
    }
    assert required == {"status"}


def test_the_length_limits_of_a_description_are_documented(components: dict[str, Any]) -> None:
    for name in ("TodoCreate", "TodoUpdate", "Todo"):
        field = components["schemas"][name]["properties"]["description"]
        assert (field["minLength"], field["maxLength"]) == (1, 500)


def test_creation_requires_a_description_and_accepts_completed(
    components: dict[str, Any],
) -> None:
    schema = components["schemas"]["TodoCreate"]

    assert schema["required"] == ["description"]
    assert schema["properties"]["completed"]["type"] == "boolean"


def test_no_optional_field_of_a_request_has_a_default(components: dict[str, Any]) -> None:
    """openapi-typescript would make it a required one."""
    for name in ("TodoCreate", "TodoUpdate", "BulkUpdate"):
        for field in components["schemas"][name]["properties"].values():
            assert "default" not in field


def test_a_todo_has_exactly_the_fields_of_the_contract(
    components: dict[str, Any],
) -> None:
    schema = components["schemas"]["Todo"]

    assert list(schema["properties"]) == FIELDS
    assert set(schema["required"]) == set(schema["properties"])


def test_every_error_documents_its_body_with_an_example(
    components: dict[str, Any],
) -> None:
    for status, response in components["responses"].items():
        if status == "304":
            continue
        content = response["content"]["application/json"]
        schema = components["schemas"][content["schema"]["$ref"].rpartition("/")[2]]
        assert schema["required"] == ["detail"]
        assert isinstance(content["example"]["detail"], str)


def test_every_field_has_an_example(components: dict[str, Any]) -> None:
    for name in ("Todo", "TodoCreate", "TodoUpdate"):
        for field in components["schemas"][name]["properties"].values():
            assert "example" in field


def test_every_component_is_referenced_and_every_reference_resolves(
    document: dict[str, Any],
) -> None:
    used = set(re.findall(r"#/components/(\w+)/(\w+)", str(document)))
    documented = {
        (kind, name) for kind, entries in document["components"].items() for name in entries
    }

    assert used == documented


def test_docs_loads_only_local_assets_and_has_no_inline_code(client: FlaskClient) -> None:
    page = client.get("/docs").text

    addresses = re.findall(r'(?:src|href|data-url)="([^"]+)"', page)
    assert len(addresses) == 5
    for address in addresses:
        assert address.startswith("/")
        with client.get(address) as response:
            assert response.status_code == 200
    assert not re.search(r"<style|style=|<script>|<script(?! src)| on\w+=", page)


def test_a_path_outside_the_assets_of_docs_is_404(client: FlaskClient) -> None:
    response = client.get("/docs/assets/../openapi.py")

    assert (response.status_code, response.get_json()) == (404, {"detail": "Not found"})


@pytest.mark.parametrize(("method", "path"), STATUSES)
def test_responses_to_valid_requests_conform_to_the_document(
    app: Flask, method: str, path: str
) -> None:
    check_conformance(app, method, path, GenerationMode.POSITIVE)


@pytest.mark.parametrize(
    ("method", "path"),
    [(method, path) for method, path in STATUSES if path.startswith("/api/")],
)
def test_responses_to_invalid_requests_conform_to_the_document(
    app: Flask, method: str, path: str
) -> None:
    check_conformance(app, method, path, GenerationMode.NEGATIVE)


def check_conformance(app: Flask, method: str, path: str, mode: GenerationMode) -> None:
    operation = schemathesis.openapi.from_wsgi("/openapi.json", app)[path][method]

    @settings(
        derandomize=True, max_examples=50, deadline=None, suppress_health_check=list(HealthCheck)
    )
    @given(operation.as_strategy(generation_mode=mode))
    def conforms(case: schemathesis.Case) -> None:
        # Cursors are opaque, so a generated one is never valid.
        case.query.pop("cursor", None)
        # Generated keys repeat, with other bodies.
        case.headers.pop("Idempotency-Key", None)
        case.call_and_validate()

    conforms()
