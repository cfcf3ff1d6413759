"""/health: whether the service can do its work. /health/live: whether the process is there."""

from flask_smorest import Blueprint

from .database import execute
from .openapi import responses
from .schemas import StatusSchema

blueprint = Blueprint("health", __name__, url_prefix="/health", description="The state")


@blueprint.get("")
@blueprint.doc(**responses(503))
@blueprint.response(200, StatusSchema, example={"status": "healthy"})
def health() -> dict[str, str]:
    """Answer 200 when the database answers"""
    execute("SELECT 1", {})
    return {"status": "healthy"}


@blueprint.get("/live")
@blueprint.doc(**responses())
@blueprint.response(200, StatusSchema, example={"status": "alive"})
def live() -> dict[str, str]:
    """Answer 200 whatever the database does"""
    return {"status": "alive"}
