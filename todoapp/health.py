"""/health: whether the service can do its work. /health/live: whether the process is there."""

from flask_smorest import Blueprint
from sqlalchemy import select

from .extensions import db
from .openapi import failures
from .schemas import StatusSchema

blueprint = Blueprint("health", __name__, url_prefix="/health", description="The state")

PING = select(1)


@blueprint.get("")
@blueprint.doc(**failures(503))
@blueprint.response(200, StatusSchema, example={"status": "healthy"})
def health() -> dict[str, str]:
    """Answer 200 when the database answers"""
    with db.engine.connect() as connection:
        connection.execute(PING)
    return {"status": "healthy"}


@blueprint.get("/live")
@blueprint.doc(**failures())
@blueprint.response(200, StatusSchema, example={"status": "alive"})
def live() -> dict[str, str]:
    """Answer 200 whatever the database does"""
    return {"status": "alive"}
