"""Request schemas: validation of the fields of a todo."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from marshmallow import ValidationError

from todoapp.todos.queries import is_invisible
from todoapp.todos.schemas import TodoCreateSchema, TodoUpdateSchema

ANY_TEXT = st.text(st.characters(), max_size=600)  # including surrogates and NUL


@settings(deadline=None)
@given(ANY_TEXT)
@example("\0")
@example("\ud800")
@example("\x1f\u2003\u3000")
@example("😀" * 500)
@example("😀" * 501)
def test_a_description_is_accepted_unchanged_or_rejected_by_name(description: str) -> None:
    try:
        fields = TodoCreateSchema().load({"description": description})
    except ValidationError as error:
        assert list(error.messages) == ["description"]
        assert (
            is_invisible(description)
            or len(description) > 500
            or "\0" in description
            or any(0xD800 <= ord(character) <= 0xDFFF for character in description)
        )
    else:
        assert fields["description"] == description
        assert not is_invisible(description)
        assert len(description) <= 500
        description.encode()


@pytest.mark.parametrize("value", [1, 0, "true", "yes", "", 1.0, [], {}])
@pytest.mark.parametrize("schema", [TodoCreateSchema, TodoUpdateSchema])
def test_completed_must_be_a_json_boolean(schema: type, value: object) -> None:
    with pytest.raises(ValidationError) as error:
        schema().load({"description": "Buy groceries", "completed": value})

    assert error.value.messages == {"completed": ["completed must be true or false"]}


def test_all_invalid_fields_are_reported_at_once() -> None:
    with pytest.raises(ValidationError) as error:
        TodoUpdateSchema().load({"description": 7, "completed": 7})

    assert error.value.messages == {
        "description": ["description must be a string"],
        "completed": ["completed must be true or false"],
    }
