"""The table of the service before this one: what revision 001 makes or adopts."""

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
    """Return if the table `todos` is the predecessor's.

    Raises:
        CommandError: it is another one, and the migrations must not touch it; or there is none.
    """
    inspector = inspect(connection)
    if not inspector.has_table("todos"):
        raise CommandError("Nothing was changed. The predecessor's table todos is not there.")
    found = {
        column["name"]: (
            column["type"].compile(connection.dialect),
            column["nullable"],
            _same_default(column["default"]),
        )
        for column in inspector.get_columns("todos")
    }
    strange = sorted(
        name for name in COLUMNS.keys() | found.keys() if COLUMNS.get(name) != found.get(name)
    )
    if inspector.get_pk_constraint("todos")["constrained_columns"] != ["id"]:
        strange.append("its primary key")
    serial = text("SELECT pg_get_serial_sequence('todos', 'id')")
    if "id" in found and connection.scalar(serial) is None:
        strange.append("the sequence of its ids")
    rules = (
        *inspector.get_check_constraints("todos"),
        *inspector.get_foreign_keys("todos"),
        *(index for index in inspector.get_indexes("todos") if index["unique"]),
    )
    strange += sorted(str(rule["name"]) for rule in rules)
    if strange:
        raise CommandError(
            "Nothing was changed. There is a table todos that is not the predecessor's: "
            f"it differs in {', '.join(strange)}. Rename it, or use another database."
        )


def _same_default(default: str | None) -> str | None:
    """Return one spelling for defaults that mean the same."""
    if default == "CURRENT_TIMESTAMP":
        return "now()"
    if default is not None and default.startswith("nextval("):
        return "nextval()"
    return default
