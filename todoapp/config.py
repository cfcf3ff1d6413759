"""Configuration: every environment variable, parsed and validated in one place."""

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import psycopg2
from psycopg2.extensions import parse_dsn
from sqlalchemy import URL

LOCAL_ORIGINS = tuple(
    f"http://{host}:{port}" for host in ("localhost", "127.0.0.1") for port in (3000, 3001, 3002)
)
# https://www.postgresql.org/docs/current/libpq-ssl.html#LIBPQ-SSL-SSLMODE-STATEMENTS
SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
LOG_LEVELS = ("debug", "info", "warning", "error", "critical")

# The longest fits into a request header, whose limit is 32 KiB, and into the form of the page.
ACCESS_TOKEN_LENGTHS = (20, 1000)
MAX_BODY_KIB = 64
MAX_BODY = MAX_BODY_KIB * 1024


class ConfigError(Exception):
    """An environment variable is missing or invalid. The message is one line and names it."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """The settings of one process. docs/configuration.md describes them."""

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
    access_token: str | None = field(repr=False)
    log_level: str
    log_format: str
    log_sql: bool
    slow_query_ms: int
    metrics: bool

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "Config":
        """Read the settings from `environ`.

        Raises:
            ConfigError: a variable is missing or invalid.
        """
        web_threads = _whole_number(environ, "WEB_THREADS", default=4, least=1)
        trusted_proxies = _whole_number(environ, "TRUSTED_PROXIES", default=0)
        return cls(
            database_url=_database_url(environ),
            port=_whole_number(environ, "PORT", default=8000, least=1, most=65535),
            web_concurrency=_whole_number(environ, "WEB_CONCURRENCY", default=2, least=1),
            web_threads=web_threads,
            trusted_proxies=trusted_proxies,
            request_timeout=_whole_number(environ, "REQUEST_TIMEOUT", default=10, least=1),
            # One connection per thread, so that no request waits for one.
            db_pool_size=_whole_number(environ, "DB_POOL_SIZE", default=web_threads, least=1),
            db_max_overflow=_whole_number(environ, "DB_MAX_OVERFLOW", default=0),
            db_pool_timeout=_whole_number(environ, "DB_POOL_TIMEOUT", default=3, least=1),
            # libpq treats 1 as 2.
            db_connect_timeout=_whole_number(environ, "DB_CONNECT_TIMEOUT", default=3, least=2),
            db_lock_timeout=_whole_number(environ, "DB_LOCK_TIMEOUT", default=3, least=1),
            db_statement_timeout=_whole_number(
                environ, "DB_STATEMENT_TIMEOUT", default=10, least=1
            ),
            # Behind a proxy, the service is deployed: a page on a visitor's own machine is foreign.
            cors_origins=_origins(
                environ, "CORS_ORIGINS", default=() if trusted_proxies else LOCAL_ORIGINS
            ),
            trusted_hosts=_hosts(environ, "TRUSTED_HOSTS"),
            access_token=_access_token(environ),
            log_level=_choice(environ, "LOG_LEVEL", default="info", choices=LOG_LEVELS),
            log_format=_choice(environ, "LOG_FORMAT", default="text", choices=("text", "json")),
            log_sql=_choice(environ, "LOG_SQL", default="0", choices=("0", "1")) == "1",
            slow_query_ms=_whole_number(environ, "SLOW_QUERY_MS", default=500, most=600_000),
            metrics=_choice(environ, "METRICS", default="0", choices=("0", "1")) == "1",
        )

    def flask_settings(self) -> dict[str, Any]:
        """Return the settings for `Flask.config`."""
        return {
            # Werkzeug silently truncates a chunked body here. One byte more than the limit shows
            # that a body is too long.
            "MAX_CONTENT_LENGTH": MAX_BODY + 1,
            "SQLALCHEMY_DATABASE_URI": self.database_url,
            "CONNECT_TIMEOUT": self.db_connect_timeout,
            "LOCK_TIMEOUT": self.db_lock_timeout,
            # Later than statement_timeout, whose error says more.
            "STATEMENT_DEADLINE": self.db_statement_timeout + 1,
            "SLOW_QUERY_MS": self.slow_query_ms,
            "CORS_ORIGINS": self.cors_origins,
            # Only views that request it are compressed; JSON is not.
            "COMPRESS_REGISTER": False,
            # Small files: Brotli compresses them best. Level 11 saves 17 % of the bytes of level 4,
            # the default, and costs 7 ms per file, once for each process.
            "COMPRESS_ALGORITHM": ["br", "zstd", "gzip", "deflate"],
            "COMPRESS_BR_LEVEL": 11,
            # The views handle If-None-Match themselves, before compression.
            "COMPRESS_EVALUATE_CONDITIONAL_REQUEST": False,
            "API_TITLE": "Todo API",
            "API_VERSION": "1",
            "API_SPEC_OPTIONS": {
                "info": {
                    "description": "Todos, kept in PostgreSQL.",
                    "license": {"name": "MIT", "identifier": "MIT"},
                },
                "servers": [{"url": "/"}],
                "security": [{"accessToken": []}] if self.access_token else [],
            },
            "OPENAPI_VERSION": "3.1.0",
            "OPENAPI_URL_PREFIX": "/",
        }


def load_config() -> Config:
    """Return the settings of this process, or exit with one line if a setting is invalid."""
    try:
        return Config.from_environ(os.environ)
    except ConfigError as error:
        sys.exit(f"Configuration error: {error}")


# What a DATABASE_URL looks like in which something is wrong, and what that is. The first applies.
MALFORMED = (
    (r"^['\"]|['\"]$", "it is in quotes; remove them"),
    (r"^(export )?DATABASE_URL=", "it begins with its own name; expected only the address"),
    (r"^psql ", "it begins with the command psql; expected only the address"),
    (r"^jdbc:", "it is an address for JDBC; expected postgresql://user:password@host/name"),
    (r"^\w+\s*=", "it is a list of name=value; expected postgresql://user:password@host/name"),
    (r"^postgres[^/]*:(//)?$|^postgres\w*:(?!//)", "it lacks // or what follows"),
    (r"\s", "it contains white space; in a password, a space is written as %20"),
    (r"#", "it contains a #; in a password, that is written as %23"),
    # libpq would take a part of the password for the host.
    (r"@.*@", "it contains more than one @; in a password, that is written as %40"),
    (r"//[^/?@]+/[^?]*@", "it contains a / before the @; in a password, that is written as %2F"),
    (r"//[^/?@]+\?.*@", "it contains a ? before the @; in a password, that is written as %3F"),
    (r"%(?![0-9A-Fa-f]{2})", "it contains a % without two hexadecimal digits; a % itself is %25"),
)


def _database_url(environ: Mapping[str, str]) -> URL:
    """Return `DATABASE_URL` as a URL for psycopg2, whichever driver it was written for.

    libpq parses it, so it may name several hosts:
    https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS

    No error message repeats the value or libpq's message: either may contain the password.
    """
    value = environ.get("DATABASE_URL", "").strip()
    if not value:
        raise ConfigError("DATABASE_URL is not set; expected postgresql://user:password@host/name")
    for pattern, problem in MALFORMED:
        if re.search(pattern, value):
            raise ConfigError(f"DATABASE_URL is malformed: {problem}")
    scheme, _, rest = value.partition("://")
    if rest and scheme.partition("+")[0] not in ("postgres", "postgresql"):
        raise ConfigError(f"DATABASE_URL is not for PostgreSQL but for {scheme!r}")
    options = _parse(rest)
    if "dbname" not in options:
        raise ConfigError("DATABASE_URL names no database; expected …@host:port/name")
    if options.get("sslmode", "prefer") not in SSL_MODES:
        raise ConfigError(f"DATABASE_URL has an sslmode that is none of {', '.join(SSL_MODES)}")
    ports = _ports(options)
    if not ports:
        raise ConfigError(
            "DATABASE_URL is malformed: each host needs a name, and a port from 1 to 65535 if any"
        )
    if len(ports) > 1:
        options["port"] = ",".join(ports)
    host, port = options.get("host", ""), options.get("port")
    is_one_name = host and host[0] != "/" and "," not in host
    return URL.create(
        "postgresql+psycopg2",
        username=options.pop("user", None),
        password=options.pop("password", None),
        host=options.pop("host") if is_one_name else None,
        port=int(options.pop("port")) if is_one_name and port else None,
        database=options.pop("dbname"),
        query=options,
    )


def _parse(address: str) -> dict[str, str]:
    """Return the options of libpq in an address, which is a DATABASE_URL without its scheme."""
    malformed = ConfigError(
        "DATABASE_URL is malformed; expected postgresql://user:password@host:port/name, "
        "with the special characters of the password percent-encoded"
    )
    if not address or not address.isprintable():
        raise malformed
    # asyncpg's name for sslmode is ssl, with the same values. libpq itself knows ssl=true.
    address = re.sub(r"([?&])ssl=(?!true\b)(?!.*@)", r"\1sslmode=", address)
    try:
        options = parse_dsn(f"postgresql://{address}")
    except UnicodeDecodeError:
        raise ConfigError(
            "DATABASE_URL is malformed: a percent-encoded character is not in UTF-8, in which é is "
            "%C3%A9"
        ) from None
    except psycopg2.ProgrammingError as error:
        unknown = re.search(r'invalid URI query parameter: "(\w+)"', str(error))
        raise (
            ConfigError(f"DATABASE_URL has an option that libpq does not know: {unknown[1]!r}")
            if unknown
            else malformed
        ) from None
    if not all(text.isprintable() for text in options.values()):
        raise malformed
    return options


def _ports(options: Mapping[str, str]) -> list[str]:
    """Return the port of each host; empty if a host or a port is invalid.

    libpq would report that only when it connects. A single port is that of all hosts.
    """
    hosts = options.get("host", "").split(",")
    ports = [port or "5432" for port in options.get("port", "").split(",")]
    if len(ports) == 1:
        ports *= len(hosts)
    is_valid = (
        len(hosts) == len(ports)
        and (len(hosts) == 1 or all(hosts))
        and all(re.fullmatch("[0-9]{1,5}", port) and 0 < int(port) < 65536 for port in ports)
    )
    return ports if is_valid else []


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
        # RFC 6454, section 6.1: a scheme, a host and a port, without a path. This also keeps out
        # what flask-cors would interpret as a regular expression.
        if not re.fullmatch(r"\*|https?://[\w.-]+(:[0-9]+)?", origin):
            raise ConfigError(
                f"{name} has {origin!r}, which is not an origin such as https://example.com"
            )
    return origins


def _access_token(environ: Mapping[str, str]) -> str | None:
    """Return `ACCESS_TOKEN`; None if it is not set. No error message repeats the value."""
    token = environ.get("ACCESS_TOKEN")
    if token is None:
        return None
    # A variable that another one should have filled must not open the service.
    if not token:
        raise ConfigError("ACCESS_TOKEN is empty; to allow access without a token, unset it")
    if not re.fullmatch(r"[!-~]+", token):
        raise ConfigError("ACCESS_TOKEN must be printable ASCII characters without spaces")
    if not ACCESS_TOKEN_LENGTHS[0] <= len(token) <= ACCESS_TOKEN_LENGTHS[1]:
        least, most = ACCESS_TOKEN_LENGTHS
        raise ConfigError(f"ACCESS_TOKEN must have {least} to {most} characters, not {len(token)}")
    return token


def _hosts(environ: Mapping[str, str], name: str) -> tuple[str, ...]:
    hosts = tuple(host.strip().lower() for host in environ.get(name, "").split(",") if host.strip())
    for host in hosts:
        # As in Flask's setting of the same name, a leading dot includes all subdomains.
        if not re.fullmatch(r"\.?[a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\]", host):
            raise ConfigError(
                f"{name} has {host!r}, which is not a host without a port, such as "
                "todos.example.com"
            )
    return hosts
