"""The table of the service before this one: what revision 001 makes or adopts."""

from alembic.util import CommandError
from sqlalchemy import Connection, inspect

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
        CommandError: it is another one; the migrations must not touch it.
    """
    inspector = inspect(connection)
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
        strange.append("primary key")
    if strange:
        raise CommandError(
            "Nothing was changed. There is a table todos that is not the predecessor's: "
            f"it differs in {', '.join(strange)}. Rename it, or use another database."
        )


def _same_default(default: str | None) -> str | None:
    """Return one spelling for the defaults that mean the same."""
    if default == "CURRENT_TIMESTAMP":
        return "now()"
    if default is not None and default.startswith("nextval("):
        return "nextval()"
    return default
