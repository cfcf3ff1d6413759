"""A todo service on Flask and PostgreSQL.

- `todos/`: the feature, from the table to the routes
- `database/`: connections, statements, outages
- `web/`: HTTP around the features
- `observability/`: logs, metrics, request IDs
- `page/`: the page at `/`
"""

from collections.abc import Callable
from typing import Any

from flask import Flask, request
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.routing import IntegerConverter

from .config import Config, load_config
from .database import engine
from .extensions import migrate
from .observability import logs, request_context
from .page import login, views
from .todos import cli, routes
from .web import access_control, admission, cors, errors, health, openapi, security_headers
from .web.json_body import OrjsonProvider


class TodoApp(Flask):
    """Flask without support for asynchronous views, and with safe log lines."""

    def log_exception(self, exc_info: Any) -> None:
        """Log an unexpected error with its traceback; Flask would log the path unquoted."""
        path = request_context.quoted_path(request.environ)
        self.logger.error("Exception on %s %s", request.method, path, exc_info=exc_info)

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return `func`: checking eight functions per request costs 3 % of a GET (make bench)."""
        return func


class ASCIIInteger(IntegerConverter):
    """An integer in a path, in ASCII digits only."""

    regex = "[0-9]+"


def create_app(config: Config | None = None) -> Flask:
    """Return the application.

    Args:
        config: the settings. None reads them from the environment, and exits with one line if a
            setting is missing or invalid.
    """
    config = config or load_config()
    app = TodoApp(__name__, static_folder=None, template_folder="page/templates")
    app.config.from_mapping(config.flask_settings())
    app.json = OrjsonProvider(app)
    app.url_map.converters["int"] = ASCIIInteger
    # A path with and without its trailing slash is the same resource, with no redirect.
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False

    engine.init_app(app, config)
    migrate.init_app(app)
    request_context.init_app(app)
    cors.init_app(app)
    api = openapi.init_app(app, requires_token=config.access_token is not None)
    errors.init_app(app)
    access_control.init_app(app, config)
    admission.init_app(app, config)

    views.init_app(app)
    login.init_app(app)
    api.register_blueprint(routes.blueprint)
    api.register_blueprint(health.blueprint)
    app.cli.add_command(cli.commands)

    wrap_in_middleware(app, config)
    return app


def wrap_in_middleware(app: Flask, config: Config) -> None:
    """Add the WSGI middleware, innermost first."""
    observers = [logs.log_access]
    if config.metrics:
        from .observability import metrics  # noqa: PLC0415  # costs time, memory and a directory

        metrics.init_app(app)
        observers.insert(0, metrics.count)
    security_headers.init_app(app)
    if config.trusted_proxies:
        hops = config.trusted_proxies
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]  # as in Flask's documentation
            app.wsgi_app, x_for=hops, x_proto=hops
        )
    app.wsgi_app = logs.AccessLog(app.wsgi_app, observers)  # type: ignore[method-assign]
