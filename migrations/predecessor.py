"""The table of the predecessor of this service, which revision 001 creates or adopts."""

from alembic.util import CommandError
from sqlalchemy import Connection, inspect, text

# name: (type, nullable, default)
COLUMNS = {
    "id": ("INTEGER", False, "nextval()"),
    "description": ("VARCHAR(500)", False, None),
    "completed": ("BOOLEAN", False, "false"),
    "created_at": ("TIMESTAMP WITHOUT TIME ZONE", False, "now()"),
    "updated_at": ("TIMESTAMP WITHOUT TIME ZONE", False, "now()"),
}


def check_table(connection: Connection) -> None:
    """Check that the table `todos` is the predecessor's.

    Raises:
        CommandError: the table does not exist, or is a different one, which must not be altered.
    """
    inspector = inspect(connection)
    if not inspector.has_table("todos"):
        raise CommandError("Nothing was changed. The predecessor's table todos does not exist.")
    found = {
        column["name"]: (
            column["type"].compile(connection.dialect),
            column["nullable"],
            _normalize_default(column["default"]),
        )
        for column in inspector.get_columns("todos")
    }
    differences = sorted(
        name for name in COLUMNS.keys() | found.keys() if COLUMNS.get(name) != found.get(name)
    )
    details = "".join(
        f" {name}: found {_declaration(found.get(name))},"
        f" expected {_declaration(COLUMNS.get(name))}."
        for name in differences
    )
    if inspector.get_pk_constraint("todos")["constrained_columns"] != ["id"]:
        differences.append("its primary key")
    serial = text("SELECT pg_get_serial_sequence('todos', 'id')")
    if "id" in found and connection.scalar(serial) is None:
        differences.append("the sequence of its ids")
    extra = (
        *inspector.get_check_constraints("todos"),
        *inspector.get_foreign_keys("todos"),
        *(index for index in inspector.get_indexes("todos") if index["unique"]),
    )
    differences += sorted(str(item["name"]) for item in extra)
    if differences:
        raise CommandError(
            "Nothing was changed. The existing table todos is not the predecessor's: "
            f"it differs in {', '.join(differences)}.{details} Rename it, or use another database."
        )


def _declaration(column: tuple[str, bool, str | None] | None) -> str:
    if column is None:
        return "no such column"
    kind, nullable, default = column
    return f"{kind}{'' if nullable else ' NOT NULL'}{f' DEFAULT {default}' if default else ''}"


def _normalize_default(default: str | None) -> str | None:
    """Return the same spelling for equivalent defaults."""
    if default == "CURRENT_TIMESTAMP":
        return "now()"
    if default is not None and default.startswith("nextval("):
        return "nextval()"
    return default
