"""Every environment variable that the service knows, read and checked in one place."""

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg2
from psycopg2.extensions import make_dsn
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

LOCAL_ORIGINS = tuple(
    f"http://{host}:{port}" for host in ("localhost", "127.0.0.1") for port in (3000, 3001, 3002)
)
# https://www.postgresql.org/docs/current/libpq-ssl.html#LIBPQ-SSL-SSLMODE-STATEMENTS
SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
LOG_LEVELS = ("debug", "info", "warning", "error", "critical")

MAX_BODY_KIB = 64
MAX_BODY = MAX_BODY_KIB * 1024

# What the contract lets a page of another origin read of an answer:
# https://fetch.spec.whatwg.org/#http-access-control-expose-headers
EXPOSED_HEADERS = ("ETag", "Link", "Location", "Retry-After", "X-Request-ID", "X-Total-Count")


class ConfigError(Exception):
    """An environment variable is missing or wrong; the message is one line and names it."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """The settings of one process. The README's table says what each one does."""

    database_url: URL
    port: int
    web_concurrency: int
    web_threads: int
    trusted_proxies: int
    request_timeout: int
    db_pool_size: int
    db_max_overflow: int
    db_pool_timeout: int
    db_connect_timeout: int
    db_lock_timeout: int
    db_statement_timeout: int
    cors_origins: tuple[str, ...]
    trusted_hosts: tuple[str, ...]
    log_level: str
    log_format: str
    log_sql: bool
    slow_query_ms: int
    metrics: bool

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "Config":
        """Read the settings from `environ`.

        Raises:
            ConfigError: a variable is missing or wrong.
        """
        web_threads = _whole_number(environ, "WEB_THREADS", default=4, least=1)
        return cls(
            database_url=_database_url(environ),
            port=_whole_number(environ, "PORT", default=8000, least=1, most=65535),
            web_concurrency=_whole_number(environ, "WEB_CONCURRENCY", default=2, least=1),
            web_threads=web_threads,
            trusted_proxies=_whole_number(environ, "TRUSTED_PROXIES", default=0),
            request_timeout=_whole_number(environ, "REQUEST_TIMEOUT", default=10, least=1),
            # A connection for each thread, so that no request waits for one.
            db_pool_size=_whole_number(environ, "DB_POOL_SIZE", default=web_threads, least=1),
            db_max_overflow=_whole_number(environ, "DB_MAX_OVERFLOW", default=0),
            db_pool_timeout=_whole_number(environ, "DB_POOL_TIMEOUT", default=3, least=1),
            # libpq takes a single second for two.
            db_connect_timeout=_whole_number(environ, "DB_CONNECT_TIMEOUT", default=3, least=2),
            db_lock_timeout=_whole_number(environ, "DB_LOCK_TIMEOUT", default=3, least=1),
            db_statement_timeout=_whole_number(
                environ, "DB_STATEMENT_TIMEOUT", default=10, least=1
            ),
            cors_origins=_origins(environ, "CORS_ORIGINS", default=LOCAL_ORIGINS),
            trusted_hosts=_hosts(environ, "TRUSTED_HOSTS"),
            log_level=_choice(environ, "LOG_LEVEL", default="info", choices=LOG_LEVELS),
            log_format=_choice(environ, "LOG_FORMAT", default="text", choices=("text", "json")),
            log_sql=_choice(environ, "LOG_SQL", default="0", choices=("0", "1")) == "1",
            slow_query_ms=_whole_number(environ, "SLOW_QUERY_MS", default=500, most=600_000),
            metrics=_choice(environ, "METRICS", default="0", choices=("0", "1")) == "1",
        )

    def flask_settings(self) -> dict[str, Any]:
        """Return what `Flask.config` takes."""
        return {
            # Werkzeug cuts a chunked body off here without a word, so we let it read one byte
            # more than we take: that byte tells a body that is too long.
            "MAX_CONTENT_LENGTH": MAX_BODY + 1,
            "SQLALCHEMY_DATABASE_URI": self.database_url,
            "CONNECT_TIMEOUT": self.db_connect_timeout,
            "LOCK_TIMEOUT": self.db_lock_timeout,
            # The database ends a statement by itself, and says why, if it still can.
            "STATEMENT_DEADLINE": self.db_statement_timeout + 1,
            "SLOW_QUERY_MS": self.slow_query_ms,
            "CORS_ALWAYS_SEND": False,
            "CORS_SEND_WILDCARD": True,
            "CORS_VARY_HEADER": False,
            "CORS_ORIGINS": self.cors_origins,
            "CORS_METHODS": ("GET", "HEAD", "POST", "PATCH", "DELETE"),
            "CORS_EXPOSE_HEADERS": EXPOSED_HEADERS,
            # Only what asks for it is compressed; JSON is not.
            "COMPRESS_REGISTER": False,
            # If-None-Match is answered before, and nothing is compressed in vain.
            "COMPRESS_EVALUATE_CONDITIONAL_REQUEST": False,
            "API_TITLE": "Todo API",
            "API_VERSION": "1",
            "API_SPEC_OPTIONS": {"info": {"description": "Todos, kept in PostgreSQL."}},
            "OPENAPI_VERSION": "3.1.0",
            "OPENAPI_URL_PREFIX": "/",
        }


def load_config() -> Config:
    """Return the settings of this process, or exit with one line that says what is wrong."""
    try:
        return Config.from_environ(os.environ)
    except ConfigError as error:
        sys.exit(f"Configuration error: {error}")


def _database_url(environ: Mapping[str, str]) -> URL:
    """Return `DATABASE_URL` as an address for psycopg2, whichever driver it was written for.

    No message repeats the value, nor what a parser says of it: either may hold the password.
    """
    value = environ.get("DATABASE_URL", "").strip()
    if not value:
        raise ConfigError("DATABASE_URL is not set; expected postgresql://user:password@host/name")
    malformed = ConfigError(
        "DATABASE_URL is malformed; expected postgresql://user:password@host:port/name, "
        "with the special characters of the password percent-encoded"
    )
    # With a second @, one in the password, a part of it would pass for the host.
    if value.count("@") > 1:
        raise malformed
    try:
        url = _make_url(value)
    except (ArgumentError, ValueError):
        raise malformed from None
    if url.drivername.partition("+")[0] not in ("postgres", "postgresql"):
        raise ConfigError(f"DATABASE_URL is not for PostgreSQL but for {url.drivername!r}")
    if not url.database:
        raise ConfigError("DATABASE_URL names no database; expected …@host:port/name")
    url = _with_options_of_libpq(url).set(drivername="postgresql+psycopg2")
    try:
        _, parameters = url.get_dialect()().create_connect_args(url)
        text = make_dsn(**parameters)
    except (ArgumentError, ValueError):
        raise malformed from None
    if not text.isprintable() or not 0 < (url.port or 5432) < 65536:
        raise malformed
    return url


def _make_url(value: str) -> URL:
    """Return an address, which may name several hosts: the first that lets us in is used.

    SQLAlchemy reads only one there, but hands a list in the query on to libpq:
    https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-MULTIPLE-HOSTS

    Raises:
        ArgumentError, ValueError: it is none.
    """
    several = re.fullmatch(r"([^/]*//(?:[^/]*@)?)([^/?@]*,[^/?@]*)([/?].*)", value)
    if not several:
        return make_url(value)
    start, places, rest = several.groups()
    hosts, ports = [], []
    for place in places.split(","):
        parts = re.fullmatch(r"(\[[^\[\]]+\]|[^\[\]:]+)(?::([0-9]{1,5}))?", place)
        if not parts or not 0 < int(parts[2] or 5432) < 65536:
            raise ValueError("no such place")
        hosts.append(parts[1].strip("[]"))
        ports.append(parts[2] or "5432")
    url = make_url(start + rest)
    return url.update_query_dict({"host": ",".join(hosts), "port": ",".join(ports)})


def _with_options_of_libpq(url: URL) -> URL:
    """Return `url` with a query that libpq understands."""
    # libpq takes a password there too, but a query is shown as it is.
    if "password" in url.query:
        url = url.set(password=str(url.query["password"])).difference_update_query(["password"])
    # asyncpg says ssl= where libpq says sslmode=; the values are the same.
    if "ssl" in url.query:
        url = url.difference_update_query(["ssl"]).update_query_dict({"sslmode": url.query["ssl"]})
    for option in url.query:
        try:
            make_dsn(None, **{option: ""})
        except (psycopg2.ProgrammingError, TypeError):
            raise ConfigError(
                f"DATABASE_URL has an option that libpq does not know: {option!r}"
            ) from None
    if url.query.get("sslmode", "prefer") not in SSL_MODES:
        raise ConfigError(f"DATABASE_URL has an sslmode that is none of {', '.join(SSL_MODES)}")
    return url


def _whole_number(
    environ: Mapping[str, str],
    name: str,
    *,
    default: int,
    least: int = 0,
    most: int = 1000,
) -> int:
    value = environ.get(name)
    if value is None:
        return default
    if re.fullmatch(r"[0-9]{1,9}", value) and least <= int(value) <= most:
        return int(value)
    raise ConfigError(f"{name} must be a whole number from {least} to {most}, not {value!r}")


def _choice(
    environ: Mapping[str, str], name: str, *, default: str, choices: tuple[str, ...]
) -> str:
    value = environ.get(name, default).lower()
    if value in choices:
        return value
    raise ConfigError(f"{name} must be one of {', '.join(choices)}, not {value!r}")


def _origins(environ: Mapping[str, str], name: str, *, default: tuple[str, ...]) -> tuple[str, ...]:
    value = environ.get(name)
    if value is None:
        return default
    origins = tuple(origin.strip().lower() for origin in value.split(",") if origin.strip())
    for origin in origins:
        # RFC 6454, section 6.1: an origin is a scheme, a host and a port, with no path. What
        # flask-cors would take for a regular expression is none of ours.
        if not re.fullmatch(r"\*|https?://[\w.-]+(:[0-9]+)?", origin):
            raise ConfigError(
                f"{name} has {origin!r}, which is not an origin such as https://example.com"
            )
    return origins


def _hosts(environ: Mapping[str, str], name: str) -> tuple[str, ...]:
    hosts = tuple(host.strip().lower() for host in environ.get(name, "").split(",") if host.strip())
    for host in hosts:
        # As in Flask's setting of this name, a leading dot stands for every subdomain too.
        if not re.fullmatch(r"\.?[a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\]", host):
            raise ConfigError(
                f"{name} has {host!r}, which is not a host without a port, such as "
                "todos.example.com"
            )
    return hosts
