"""/openapi.json describes the service as it is, and /docs shows it."""

import re
from typing import Any

import pytest
import schemathesis
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode

# Whatever is asked for: all but 405 and 500 are the worker's, for what is no HTTP.
ALWAYS = {"400", "405", "408", "413", "414", "417", "431", "500", "501"}
STATUSES = {
    ("get", "/api/todos"): {"200", "304", "503"},
    ("post", "/api/todos"): {"201", "415", "503"},
    ("patch", "/api/todos"): {"200", "415", "503"},
    ("delete", "/api/todos"): {"200", "503"},
    ("get", "/api/todos/{todo_id}"): {"200", "304", "404", "503"},
    ("patch", "/api/todos/{todo_id}"): {"200", "404", "412", "415", "503"},
    ("delete", "/api/todos/{todo_id}"): {"204", "404", "412", "503"},
    ("get", "/health"): {"200", "503"},
    ("get", "/health/live"): {"200"},
}


@pytest.fixture
def description(client: FlaskClient) -> dict[str, Any]:
    response = client.get("/openapi.json")
    assert response.status_code == 200
    assert response.mimetype == "application/json"
    return response.get_json()


@pytest.fixture
def components(description: dict[str, Any]) -> dict[str, Any]:
    return description["components"]


def test_the_version_is_3_1(description: dict[str, Any]) -> None:
    assert description["openapi"].startswith("3.1")


def test_every_endpoint_is_described_with_every_status(description: dict[str, Any]) -> None:
    described = {
        (method, path): set(operation["responses"])
        for path, operations in description["paths"].items()
        for method, operation in operations.items()
        if method != "parameters"
    }

    assert described == {operation: ALWAYS | more for operation, more in STATUSES.items()}


def test_every_route_of_the_api_is_described(app: Flask, description: dict[str, Any]) -> None:
    routes = {
        re.sub(r"<.*:(\w+)>", r"{\1}", rule.rule)
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith(("/api/", "/health"))
    }

    assert routes == set(description["paths"])


def test_every_parameter_of_a_list_is_described(description: dict[str, Any]) -> None:
    parameters = {
        parameter["name"]: parameter["schema"]
        for parameter in description["paths"]["/api/todos"]["get"]["parameters"]
    }

    assert set(parameters) == {
        *("search", "status", "sort_by", "order", "limit", "offset", "cursor", "count"),
        "If-None-Match",
    }
    assert parameters["status"]["enum"] == ["completed", "incomplete"]
    assert parameters["sort_by"]["enum"] == ["id", "created_at", "updated_at", "description"]
    assert (parameters["limit"]["minimum"], parameters["limit"]["maximum"]) == (1, 1000)
    assert parameters["search"]["maxLength"] == 200


@pytest.mark.parametrize("method", ["patch", "delete"])
def test_many_todos_are_changed_only_by_their_status(
    description: dict[str, Any], method: str
) -> None:
    parameters = description["paths"]["/api/todos"][method]["parameters"]

    required = {parameter["name"] for parameter in parameters if parameter["required"]}
    assert {parameter["name"] for parameter in parameters} == {"search", "status"}
    assert required == {"status"}


def test_the_limits_of_a_description_are_described(components: dict[str, Any]) -> None:
    for name in ("TodoCreate", "TodoUpdate", "Todo"):
        field = components["schemas"][name]["properties"]["description"]
        assert (field["minLength"], field["maxLength"]) == (1, 500)


def test_a_new_todo_must_have_a_description_and_may_be_completed(
    components: dict[str, Any],
) -> None:
    schema = components["schemas"]["TodoCreate"]

    assert schema["required"] == ["description"]
    completed = schema["properties"]["completed"]
    assert (completed["type"], completed["default"]) == ("boolean", False)


def test_a_todo_has_all_of_its_five_fields(components: dict[str, Any]) -> None:
    schema = components["schemas"]["Todo"]

    assert list(schema["properties"]) == [
        *("id", "description", "completed", "created_at", "updated_at")
    ]
    assert set(schema["required"]) == set(schema["properties"])


def test_every_failure_is_described_with_its_body_and_an_example(
    components: dict[str, Any],
) -> None:
    for status, response in components["responses"].items():
        if status == "304":
            continue
        content = response["content"]["application/json"]
        schema = components["schemas"][content["schema"]["$ref"].rpartition("/")[2]]
        assert schema["required"] == ["detail"]
        assert isinstance(content["example"]["detail"], str)


def test_every_field_is_described_with_an_example(components: dict[str, Any]) -> None:
    for name in ("Todo", "TodoCreate", "TodoUpdate"):
        for field in components["schemas"][name]["properties"].values():
            assert "example" in field


def test_nothing_is_described_that_is_not_there(description: dict[str, Any]) -> None:
    used = set(re.findall(r"#/components/(\w+)/(\w+)", str(description)))
    described = {
        (kind, name) for kind, entries in description["components"].items() for name in entries
    }

    assert used == described


def test_the_page_takes_everything_from_files_of_our_own(client: FlaskClient) -> None:
    page = client.get("/docs").text

    addresses = re.findall(r'(?:src|href|data-url)="([^"]+)"', page)
    assert len(addresses) == 5
    for address in addresses:
        assert address.startswith("/")
        with client.get(address) as response:
            assert response.status_code == 200
    assert not re.search(r"<style|style=|<script>|<script(?! src)| on\w+=", page)


def test_a_file_that_the_page_has_not_is_not_found(client: FlaskClient) -> None:
    response = client.get("/docs/assets/../openapi.py")

    assert (response.status_code, response.get_json()) == (404, {"detail": "Not found"})


@pytest.mark.parametrize(("method", "path"), STATUSES)
def test_a_valid_request_is_answered_as_described(app: Flask, method: str, path: str) -> None:
    check_answers(app, method, path, GenerationMode.POSITIVE)


@pytest.mark.parametrize(
    ("method", "path"),
    [(method, path) for method, path in STATUSES if path.startswith("/api/")],
)
def test_an_invalid_request_is_answered_as_described(app: Flask, method: str, path: str) -> None:
    check_answers(app, method, path, GenerationMode.NEGATIVE)


def check_answers(app: Flask, method: str, path: str, mode: GenerationMode) -> None:
    operation = schemathesis.openapi.from_wsgi("/openapi.json", app)[path][method]

    @settings(derandomize=True, max_examples=50, deadline=None, suppress_health_check=HealthCheck)
    @given(operation.as_strategy(generation_mode=mode))
    def answers_as_described(case: schemathesis.Case) -> None:
        # No description can say which cursors there are.
        case.query.pop("cursor", None)
        case.call_and_validate()

    answers_as_described()
