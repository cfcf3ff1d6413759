"""The SQL functions that compare texts, for every character of Unicode."""

import sys
import unicodedata
from collections.abc import Callable

import pytest

from todoapp.todos.queries import is_invisible

Sql = Callable[[str], list[tuple]]

CHARACTERS = [
    character
    for character in map(chr, range(1, sys.maxunicode + 1))
    if unicodedata.category(character) not in ("Cn", "Co", "Cs")
]
# It is an apostrophe here; its compatibility decomposition is a space and a combining accent.
ACUTE_ACCENTS = "\u00b4\u1ffd"


def results(sql: Sql, function: str, texts: list[str]) -> list[str]:
    """Return the result of a SQL function of a text, as text, for each of `texts`."""
    codes = ",".join(f"'{text.encode().hex()}'" for text in texts)
    return [
        result
        for (result,) in sql(
            f"SELECT {function}(convert_from(decode(code, 'hex'), 'UTF8'))::text"
            f" FROM unnest(ARRAY[{codes}]) WITH ORDINALITY AS texts (code, position)"
            " ORDER BY position"
        )
    ]


@pytest.mark.parametrize("function", ["todo_sort_key", "todo_search_words"])
def test_equivalent_spellings_of_every_character_are_equal(sql: Sql, function: str) -> None:
    characters = [character for character in CHARACTERS if not is_invisible(character)]
    # Between letters, because a text of a single accent stands for itself.
    expected = results(sql, function, [f"x{character}y" for character in characters])
    spellings: dict[str, Callable[[str], str]] = {
        "upper": str.upper,
        "lower": str.lower,
        "casefold": str.casefold,
        **{
            form: lambda text, form=form: unicodedata.normalize(form, text)  # type: ignore[misc]
            for form in ("NFC", "NFD", "NFKC", "NFKD")
        },
    }
    for name, spell in spellings.items():
        found = results(sql, function, [f"x{spell(character)}y" for character in characters])
        different = {
            character
            for character, one, other in zip(characters, expected, found, strict=True)
            if one != other
        }
        assert different == (set(ACUTE_ACCENTS) if name in ("NFKC", "NFKD") else set()), name


def test_default_ignorable_characters_have_no_effect(sql: Sql) -> None:
    ignorable = [
        character
        for character in CHARACTERS
        if is_invisible(character) and not character.isspace() and character != "\u2800"
    ]
    assert {"\u00ad", "\u200b", "\u200d", "\u2060", "\ufe0f", "\ufeff", "\u3164"} <= set(ignorable)

    for function in ("todo_sort_key", "todo_search_words"):
        found = results(sql, function, [f"gro{character}ceries" for character in ignorable])
        assert set(found) == set(results(sql, function, ["groceries"]))


@pytest.mark.parametrize(
    ("search", "query"),
    [
        ("milk", "'milk':*"),
        ("milk Milk MILK", "'milk':*"),
        ("m mi mil milk", "'milk':*"),
        ("ミルク", "'ミル' & 'ルク'"),
        ("ミルク ク ミ", "'ミル' & 'ルク'"),
        ("ミ", "'ミ':*"),
        ("a b c d e f g h i j", "'a':* & 'b':* & 'c':* & 'd':* & 'e':* & 'f':* & 'g':* & 'h':*"),
        ("a b c d e f g h ij", "'ij':* & 'a':* & 'b':* & 'c':* & 'd':* & 'e':* & 'f':* & 'g':*"),
    ],
)
def test_a_query_has_each_word_once_and_the_eight_longest_words(
    sql: Sql, search: str, query: str
) -> None:
    assert results(sql, "todo_search_query", [search]) == [query]


@pytest.mark.usefixtures("app")
def test_the_longest_possible_texts_can_be_indexed(sql: Sql) -> None:
    for text in ("\U00010400" * 500, "\ufdfa" * 500, "\ufdf6" * 500, "\u0390" * 500, "水" * 500):
        sql(f"INSERT INTO todos (description) VALUES ('{text}')")
