"""A todo service on Flask and PostgreSQL."""

from collections.abc import Callable
from typing import Any

from flask import Flask, request
from flask.ctx import RequestContext
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.routing import IntegerConverter

from . import (
    admission,
    backup,
    cors,
    engine,
    errors,
    health,
    logs,
    openapi,
    page,
    routes,
    security,
    tracing,
)
from .config import Config, load_config
from .extensions import api, compress, migrate
from .json import OrjsonProvider


class Service(Flask):
    """Flask, whose views are plain functions."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return `func`: there is no coroutine to look for, five times for each request."""
        return func

    def request_context(self, environ: dict[str, Any]) -> RequestContext:
        """Return a context in which there is a trace."""
        tracing.begin(environ, self.config["SLOW_QUERY_MS"])
        return super().request_context(environ)

    def log_exception(self, exc_info: Any) -> None:
        """Log an error that nobody foresaw, with its traceback."""
        path = tracing.quoted_path(request.environ)
        self.logger.error("Exception on %s %s", request.method, path, exc_info=exc_info)


class Integer(IntegerConverter):
    """An integer in a path: ASCII's digits, and not those of every other script."""

    regex = "[0-9]+"


def create_app(config: Config | None = None) -> Flask:
    """Return the application.

    Args:
        config: the settings; None reads them from the environment, and exits with one line
            where one of them is wrong.
    """
    config = config or load_config()
    app = Service(__name__, static_folder=None)  # page.py serves it
    app.config.from_mapping(config.flask_settings())
    app.json = OrjsonProvider(app)
    app.url_map.converters["int"] = Integer
    # A path with and without its trailing slash is the same resource, with no redirect.
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    security.init_app(app)
    if config.trusted_proxies:
        hops = config.trusted_proxies
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]  # as Flask's docs have it
            app.wsgi_app, x_for=hops, x_proto=hops
        )

    engine.init_app(app, config)
    migrate.init_app(app)
    compress.init_app(app)
    cors.init_app(app)
    openapi.init_app(app)
    page.init_app(app)
    api.register_blueprint(routes.blueprint)
    api.register_blueprint(health.blueprint)
    errors.init_app(app)
    admission.init_app(app, config)
    tracing.init_app(app)
    app.cli.add_command(backup.commands)
    observers = [logs.log_access]
    if config.metrics:
        from . import metrics  # noqa: PLC0415  # it takes time and memory, and a directory

        metrics.init_app(app)
        observers.insert(0, metrics.count)
    app.wsgi_app = logs.AccessLog(app.wsgi_app, observers)  # type: ignore[method-assign]
    return app
