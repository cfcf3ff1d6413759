r"""Search and alphabetical order that work for every text, whatever the locale of the database.

Three functions replace those of migration 004:

- `todo_sort_key`: a text for alphabetical order in which case, accents and equivalent spellings
  do not matter. It is compared with the collation "C", so the order is the same on every machine
  and does not change with an update of ICU or of the C library.
- `todo_search_words`: the words of a text. A symbol is a word of its own. Where a script does not
  separate words by spaces, each pair of adjacent characters is one.
- `todo_search_query`: a query for the texts that contain every word of a search. A word matches
  from its beginning. Words that another word implies are dropped, and at most eight are used (and
  sixteen pairs), so that no search is expensive.

Both sides of a comparison are folded in the same way:

- compatibility equivalence by NFKD and NFKC: https://www.unicode.org/reports/tr15/
- case folding: lower case, and the letters with several lower-case forms
- no default-ignorable code points (Unicode's DerivedCoreProperties.txt), accents, vowel points
- one apostrophe, one quotation mark, one hyphen, one tilde

The release before uses `todo_words` and `todo_query`, so those functions stay; without its indexes
it searches and sorts more slowly until the new release has started. The next migration may drop
them.

The functions call no function of this schema: an index is built, and a backup restored, with a
`search_path` of pg_catalog alone. Their strings are E'', which means the same whatever
`standard_conforming_strings` is. The migration can be interrupted and run again, like 004.
"""

import sqlalchemy as sa
from alembic import op
from alembic.util import CommandError

revision = "007"
down_revision = "006"

# The first that exists. All give the same result, but for letters newer than their Unicode version.
COLLATIONS = ("pg_c_utf8", "und-x-icu", "C.utf8", "C.UTF-8")

IGNORABLE = (
    r"\u00ad\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    r"\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3"
    r"\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
# Accents, the vowel points of Hebrew and Arabic, and Arabic's tatweel. Not the vowel signs of
# other scripts: they make another word.
MARKS = (
    r"\u0300-\u0344\u0346-\u036f\u0483-\u0487\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a"
    r"\u0640\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed\u1ab0-\u1aff"
    r"\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
)
SYMBOLS = (
    r"\u0001-\u001f\u0021-\u002f\u003a-\u0040\u005b-\u0060\u007b-\u00bf\u00d7\u00f7\u02c2-\u02df"
    r"\u0375\u0482\u055a-\u055f\u0589-\u058f\u05be\u05c0\u05c3\u05c6\u05f3\u05f4\u0600-\u060f"
    r"\u061b-\u061f\u066a-\u066d\u06d4\u06dd\u06de\u06e9\u06fd\u06fe\u0700-\u070f\u0964\u0965"
    r"\u0970\u10fb\u1360-\u1368\u1400\u166d\u166e\u1680\u1800-\u180a\u2000-\u2131\u2133-\u214d"
    r"\u2190-\u27ff\u2900-\u2bff\u2e00-\u2e7f\u3000-\u3004\u3008-\u3020\u3030\u303d-\u303f\u30a0"
    r"\u30fb\ua4fe\ua4ff\ufd3e\ufd3f\ufff9-\uffff\U0001d000-\U0001d37f\U0001f000-\U0001fbff"
)
# Thai, Lao, Tibetan, Burmese, Khmer, Tai Le, New Tai Lue, Tai Tham, Balinese; radicals, kana,
# bopomofo, Han, Yi; Javanese, more Burmese, Tai Viet; Tangut, Nushu, more kana and Han.
UNSPACED = (
    r"\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u1950-\u19ff\u1a20-\u1aaf\u1b00-\u1b7f\u2e80-\u2fdf"
    r"\u3005-\u3007\u3021-\u302f\u3031-\u303c\u3040-\u309f\u30a1-\u30fa\u30fc-\u312f\u31a0-\u31ff"
    r"\u3400-\u4dbf\u4e00-\ua4cf\ua980-\ua9ff\uaa60-\uaadf\uf900-\ufaff\U00016fe0-\U00018dff"
    r"\U0001aff0-\U0001b2ff\U00020000-\U0003ffff"
)
# Code points that are replaced by one letter or symbol.
VARIANTS = {
    "'": r"\u2018\u2019\u201a\u201b\u2032\u2035\u02b9\u02bb\u02bc\u02bd\u02be\u02c8\u055a\u05f3",
    '"': r"\u00ab\u00bb\u201c\u201d\u201e\u201f\u02ba\u02ee\u05f4",
    # The wave dash of a Mac; Windows has a full-width tilde.
    "~": r"\u301c",
    "-": r"\u2010\u2012\u2013\u2014\u2015\u2212\u2043\u02d7\u058a\u05be\u1400\u1806\u2e3a\u2e3b",
    "o": r"\u00f8",
    "l": r"\u0142",
    "d": r"\u0111",
    "h": r"\u0127",
    "t": r"\u0167",
    "i": r"\u0131",
    # Greek: final sigma, iota subscript.
    "\u03c3": r"\u03c2",
    "\u03b9": r"\u0345",
    # Cyrillic: the letters of old books.
    "\u0432": r"\u1c80",
    "\u0434": r"\u1c81",
    "\u043e": r"\u1c82",
    "\u0441": r"\u1c83",
    "\u0442": r"\u1c84\u1c85",
    "\u044a": r"\u1c86",
    "\u0463": r"\u1c87",
    "\ua64b": r"\u1c88",
}
FROM = "".join(VARIANTS.values())
TO = "".join(letter * variants.count("\\") for letter, variants in VARIANTS.items())

# An acute accent decomposes into a space and a mark, but is also typed as an apostrophe. The two
# inner IFs triple the speed: hardly any text has one of VARIANTS, or is not yet in NFKC.
FOLD = r"""
    IF octet_length(value) = char_length(value) THEN
        value := lower(value COLLATE "C");
    ELSE
        value := normalize(translate(value, E'\u00b4\u1ffd', ''''''), NFKD);
        value := lower(
            regexp_replace(value, E'[{IGNORABLE}{MARKS}]', '', 'g') COLLATE "{collation}");
        IF value ~ E'[\u00df\u00e6\u0153{FROM}]' THEN
            value := translate(value, E'{FROM}', {TO});
            value := replace(value, E'\u00df', 'ss');
            value := replace(replace(value, E'\u00e6', 'ae'), E'\u0153', 'oe');
        END IF;
        IF value IS NOT NFKC NORMALIZED THEN
            value := normalize(value, NFKC);
        END IF;
    END IF;
"""
# 800 bytes at most: a key of a B-tree index must be shorter than a third of a page.
SORT_KEY = r"""
CREATE OR REPLACE FUNCTION todo_sort_key(value text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
    {FOLD}
    RETURN left(value, 200);
END $$
"""
# COST: the planner must not assume that this function is cheap. A word is cut off after 500
# characters, because it must not exceed 2 kB. A text of accents alone is a word as it is.
SEARCH_WORDS = r"""
CREATE OR REPLACE FUNCTION todo_search_words(value text) RETURNS tsvector
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 1000 AS $$
DECLARE
    original text := value;
    words text[];
BEGIN
    {FOLD}
    value := translate(value, E'\t\n\u000b\f\r\u001c\u001d\u001e\u001f\u0085\u1680\u2028\u2029',
        repeat(' ', 13));
    IF octet_length(value) = char_length(value) THEN
        words := string_to_array(regexp_replace(value, '[^a-z0-9 ]', E' \\& ', 'g'), ' ');
    ELSE
        value := regexp_replace(value, E'[{SYMBOLS}]|[{UNSPACED}]+', E' \\& ', 'g');
        words := ARRAY(
            SELECT CASE WHEN is_unspaced THEN substr(word, start, 2) ELSE left(word, 500) END
            FROM string_to_table(value, ' ') AS word,
            LATERAL (SELECT word ~ E'^[{UNSPACED}]') AS kind (is_unspaced),
            generate_series(1, CASE WHEN is_unspaced THEN char_length(word) ELSE 1 END) AS start
        );
    END IF;
    words := array_remove(words, '');
    RETURN array_to_tsvector(CASE WHEN words = '{}' THEN ARRAY[left(original, 500)] ELSE words END);
END $$
"""
SEARCH_QUERY = r"""
CREATE OR REPLACE FUNCTION todo_search_query(search text) RETURNS tsquery
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    WITH words AS MATERIALIZED (
        SELECT word, char_length(word) AS length, word ~ E'^[{UNSPACED}].' AS is_pair
        FROM unnest(tsvector_to_array(todo_search_words(search))) AS word
    ), ranked AS (
        SELECT word, is_pair,
            row_number() OVER (PARTITION BY is_pair ORDER BY length DESC, word) AS rank
        FROM words AS this
        WHERE NOT EXISTS (
            SELECT FROM words AS other
            WHERE other.length > this.length AND (
                starts_with(other.word, this.word)
                OR other.is_pair AND right(other.word, 1) = this.word
            )
        )
    )
    SELECT string_agg(
        '''' || replace(replace(word, E'\\', E'\\\\'), '''', '''''') || ''''
            || CASE WHEN is_pair THEN '' ELSE ':*' END, ' & ')::tsquery
    FROM ranked WHERE rank <= CASE WHEN is_pair THEN 16 ELSE 8 END
$$
"""
INDEXES = {
    "ix_todos_search": "USING gin (todo_search_words(description))",
    "ix_todos_sort_key": '(todo_sort_key(description) COLLATE "C", id)',
}
INDEXES_004 = {
    "ix_todos_words": "USING gin (todo_words(description))",
    "ix_todos_description": "(description, id)",
}


def upgrade() -> None:
    with op.get_context().autocommit_block():
        for function in (SORT_KEY, SEARCH_WORDS, SEARCH_QUERY):
            op.execute(with_constants(function))
        replace_indexes(INDEXES_004, INDEXES)


def downgrade() -> None:
    with op.get_context().autocommit_block():
        replace_indexes(INDEXES, INDEXES_004)
    op.execute("DROP FUNCTION todo_search_query, todo_search_words, todo_sort_key")


def with_constants(function: str) -> str:
    """Return the definition of a function with the names in braces replaced."""
    classes = {
        "IGNORABLE": IGNORABLE,
        "MARKS": MARKS,
        "SYMBOLS": SYMBOLS,
        "UNSPACED": UNSPACED,
    }
    literal = "'" + TO.replace("'", "''") + "'"
    constants = {"FOLD": FOLD, "FROM": FROM, "TO": literal, "collation": collation()}
    # The regular expression reads the escapes of a class, so E'' must not.
    constants |= {name: text.replace("\\", r"\\") for name, text in classes.items()}
    for name, value in constants.items():
        function = function.replace(f"{{{name}}}", value)
    return function


def collation() -> str:
    """Return a collation that knows upper and lower case of every script.

    Raises:
        CommandError: the database has none.
    """
    names = op.get_bind().execute(sa.text("SELECT collname FROM pg_collation")).scalars().all()
    for name in COLLATIONS:
        if name in names:
            return name
    raise CommandError(
        f"The database needs one of the collations {', '.join(COLLATIONS)}. Use PostgreSQL 17 or "
        "later, or one that is built with ICU."
    )


def replace_indexes(old: dict[str, str], new: dict[str, str]) -> None:
    """Build the new indexes without blocking reads or writes, then drop the old ones."""
    # The build waits for every transaction that is already open, but blocks no other session.
    op.execute("SET lock_timeout = 0")
    for name, definition in new.items():
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
        op.execute(f"CREATE INDEX CONCURRENTLY {name} ON todos {definition}")
    for name in old:
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
    # Without statistics on the words, the planner misestimates searches.
    op.execute("ANALYZE todos")
    op.execute("RESET lock_timeout")
