"""Environment variables: parsing, validation, and keeping the password secret."""

import pytest

from todoapp.config import Config, ConfigError

URL = "postgresql://ann:s3cret@db.example.com:5433/todos"


def read(**environ: str) -> Config:
    return Config.from_environ({"DATABASE_URL": URL, **environ})


@pytest.mark.parametrize(
    "scheme", ["postgres", "postgresql", "postgresql+psycopg2", "postgresql+asyncpg"]
)
def test_every_url_scheme_maps_to_psycopg2(scheme: str) -> None:
    url = read(DATABASE_URL=f"{scheme}://ann:s3cret@db.example.com:5433/todos").database_url

    assert url.render_as_string(hide_password=False) == (
        "postgresql+psycopg2://ann:s3cret@db.example.com:5433/todos"
    )


def test_a_password_may_contain_what_looks_like_an_option() -> None:
    url = read(DATABASE_URL="postgresql://ann:p&ssl=x@db/todos?ssl=require").database_url

    assert (url.password, dict(url.query)) == ("p&ssl=x", {"sslmode": "require"})


@pytest.mark.parametrize("query", ["sslmode=require", "ssl=require"])
def test_ssl_options_of_libpq_and_asyncpg_are_accepted(query: str) -> None:
    assert dict(read(DATABASE_URL=f"{URL}?{query}").database_url.query) == {"sslmode": "require"}


def test_the_host_can_be_a_unix_socket_directory() -> None:
    url = read(DATABASE_URL="postgresql:///todos?host=/run/postgresql").database_url

    assert (url.database, dict(url.query)) == ("todos", {"host": "/run/postgresql"})


@pytest.mark.parametrize(
    ("netloc", "hosts", "ports"),
    [
        ("db1,db2", "db1,db2", "5432,5432"),
        ("db1:5433,db2:5434", "db1,db2", "5433,5434"),
        ("[::1]:5433,db2", "::1,db2", "5433,5432"),
    ],
)
def test_several_hosts_are_accepted(netloc: str, hosts: str, ports: str) -> None:
    dsn = f"postgres://ann:s3,cret@{netloc}/todos?target_session_attrs=read-write"
    url = read(DATABASE_URL=dsn).database_url

    assert (url.username, url.password, url.database) == ("ann", "s3,cret", "todos")
    assert dict(url.query) == {
        "host": hosts,
        "port": ports,
        "target_session_attrs": "read-write",
    }


def test_a_unix_socket_directory_can_be_the_host_of_the_url() -> None:
    url = read(DATABASE_URL="postgresql://ann@%2Fvar%2Frun%2Fpostgresql/todos").database_url

    assert (url.username, url.database) == ("ann", "todos")
    assert dict(url.query) == {"host": "/var/run/postgresql"}


@pytest.mark.parametrize("query", ["ssl=true", "ssl=true&application_name=x"])
def test_the_ssl_option_of_other_drivers_requires_ssl(query: str) -> None:
    assert read(DATABASE_URL=f"{URL}?{query}").database_url.query["sslmode"] == "require"


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (f"'{URL}'", "it is in quotes"),
        (f'"{URL}"', "it is in quotes"),
        (f"{URL}'", "it is in quotes"),
        (f"DATABASE_URL={URL}", "it begins with its own name"),
        (f"export DATABASE_URL={URL}", "it begins with its own name"),
        (f"psql {URL}", "it begins with the command psql"),
        (f"psql '{URL}'", "it is in quotes"),
        ("jdbc:postgresql://db/todos?user=ann&password=s3cret", "it is an address for JDBC"),
        ("host=db dbname=todos user=ann password=s3cret", "it is a list of name=value"),
        ("Host = db; Database = todos; Password = s3cret", "it is a list of name=value"),
        ("postgresql:", "it lacks //"),
        ("postgresql://", "it lacks //"),
        ("postgresql:ann:s3cret@db/todos", "it lacks //"),
        ("postgresql:/ann:s3cret@db/todos", "it lacks //"),
        ("postgresql://ann:s3cret@db:54a32/todos", "each host needs a name, and a port"),
        ("postgresql://ann:s3cret@db:99999/todos", "each host needs a name, and a port"),
        ("postgresql://ann:s3cret#@db/todos", "it contains a #"),
        ("postgresql://ann:s3cret/x@db/todos", "it contains a / before the @"),
        ("postgresql://ann:s3cret?x@db/todos", "it contains a ? before the @"),
        ("postgresql://ann:s3cret@x@db/todos", "it contains more than one @"),
        ("postgresql://ann:s3cret x@db/todos", "it contains white space"),
        ("postgresql://ann:s3cret%@db/todos", "it contains a % without"),
        ("postgresql://ann:s3cret%zz@db/todos", "it contains a % without"),
        ("postgresql://ann:s3cret%E9@db/todos", "a percent-encoded character is not in UTF-8"),
    ],
)
def test_the_message_for_a_malformed_url_says_what_is_wrong(value: str, problem: str) -> None:
    with pytest.raises(ConfigError) as error:
        read(DATABASE_URL=value)

    assert str(error.value).startswith(f"DATABASE_URL is malformed: {problem}")
    assert "s3cret" not in str(error.value)


def test_whitespace_around_the_url_is_stripped() -> None:
    assert read(DATABASE_URL=f" {URL}\n") == read()


def test_a_percent_encoded_password_is_decoded() -> None:
    assert read(DATABASE_URL="postgres://ann:p%40ss%2F@db/todos").database_url.password == "p@ss/"


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (None, "is not set"),
        ("", "is not set"),
        ("s3cret", "is malformed"),
        ("s3cret:s3cret", "is malformed"),
        ("postgres://ann:s3cret@db:port/todos", "is malformed"),
        ("postgres://ann:p@s3cret@db/todos", "is malformed"),
        ("postgres://ann:p@s3cret/word?x=y@db/todos", "is malformed"),
        ("postgres://ann:s3cret@db:99999/todos", "is malformed"),
        ("postgres://ann:s3cret@db1,db2:99999/todos", "is malformed"),
        ("postgres://ann:s3cret@db1,/todos", "is malformed"),
        ("postgres://ann:s3cret@db1,db2:x/todos", "is malformed"),
        ("postgres://ann:s3cret%00@db/todos", "is malformed"),
        ("postgres://ann:s3cret\n@db/todos", "is malformed"),
        ("postgres://ann:s3cret\udcff@db/todos", "is malformed"),
        (f"{URL}?port=s3cret", "is malformed"),
        (f"{URL}?dsn=s3cret", "has an option that libpq does not know: 'dsn'"),
        ("postgres://ann:s3cret@db", "names no database"),
        ("mysql://ann:s3cret@db/todos", "is not for PostgreSQL but for 'mysql'"),
        ("sqlite:///s3cret.db", "is not for PostgreSQL but for 'sqlite'"),
        (f"{URL}?colour=red", "has an option that libpq does not know: 'colour'"),
        (f"{URL}?sslmode=maybe", "has an sslmode that is none of disable, allow, prefer"),
    ],
)
def test_an_invalid_url_is_reported_in_one_line_without_the_password(
    value: str | None, problem: str
) -> None:
    with pytest.raises(ConfigError) as error:
        Config.from_environ({} if value is None else {"DATABASE_URL": value})

    message = str(error.value)
    assert message.startswith(f"DATABASE_URL {problem}")
    assert "\n" not in message
    assert "s3cret" not in message


@pytest.mark.parametrize("url", [URL, "postgresql://ann@db/todos?password=s3cret"])
def test_the_password_is_not_in_the_repr(url: str) -> None:
    config = read(DATABASE_URL=url)

    assert config.database_url.password == "s3cret"
    assert "s3cret" not in repr(config) + str(config) + repr(config.flask_settings())


def test_the_default_pool_has_one_connection_per_thread() -> None:
    config = read(WEB_THREADS="7")

    assert (config.db_pool_size, config.db_max_overflow) == (7, 0)


def test_the_defaults_stay_within_20_connections_during_a_deploy() -> None:
    config = read()

    per_release = config.web_concurrency * (config.db_pool_size + config.db_max_overflow)
    old_and_new_release_and_migration = 2 * per_release + 1
    assert old_and_new_release_and_migration <= 20


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "0"),
        ("PORT", "65536"),
        ("PORT", "http"),
        ("PORT", ""),
        ("PORT", "٣"),  # a digit, but not an ASCII one
        ("WEB_CONCURRENCY", "0"),
        ("WEB_THREADS", "-1"),
        ("TRUSTED_PROXIES", "yes"),
        ("DB_POOL_SIZE", "0"),
        ("DB_MAX_OVERFLOW", "1.5"),
        ("DB_POOL_TIMEOUT", "0"),
        ("DB_CONNECT_TIMEOUT", "1"),
        ("DB_LOCK_TIMEOUT", "0"),
        ("DB_STATEMENT_TIMEOUT", "0"),
        ("REQUEST_TIMEOUT", "10s"),
        ("LOG_LEVEL", "loud"),
        ("LOG_SQL", "yes"),
        ("LOG_FORMAT", "xml"),
        ("SLOW_QUERY_MS", "1s"),
        ("METRICS", "on"),
        ("CORS_ORIGINS", "example.com"),
        ("CORS_ORIGINS", "https://example.com/"),
        ("CORS_ORIGINS", "https://*.example.com"),
        ("CORS_ORIGINS", "https://a.example$"),
        ("CORS_ORIGINS", "http://[::1]:3000"),
        ("TRUSTED_HOSTS", "todos.example.com:8000"),
        ("TRUSTED_HOSTS", "https://todos.example.com"),
        ("TRUSTED_HOSTS", "*"),
        ("TRUSTED_HOSTS", "a..b"),
    ],
)
def test_an_invalid_value_is_reported_in_one_line_with_its_variable(name: str, value: str) -> None:
    with pytest.raises(ConfigError) as error:
        read(**{name: value})

    message = str(error.value)
    assert message.startswith(f"{name} ")
    assert repr(value) in message
    assert "\n" not in message


def test_every_variable_is_read() -> None:
    config = read(
        PORT="80",
        WEB_CONCURRENCY="3",
        WEB_THREADS="5",
        TRUSTED_PROXIES="1",
        DB_POOL_SIZE="6",
        DB_MAX_OVERFLOW="2",
        DB_POOL_TIMEOUT="9",
        DB_CONNECT_TIMEOUT="7",
        DB_LOCK_TIMEOUT="8",
        DB_STATEMENT_TIMEOUT="11",
        REQUEST_TIMEOUT="12",
        CORS_ORIGINS="https://a.example, http://b.example:8080",
        TRUSTED_HOSTS="Todos.example.com, .example.org,[::1],under_score",
        LOG_LEVEL="WARNING",
        LOG_SQL="1",
        LOG_FORMAT="JSON",
        SLOW_QUERY_MS="50",
        METRICS="1",
    )

    assert (config.port, config.web_concurrency, config.web_threads) == (80, 3, 5)
    assert (config.db_pool_size, config.db_max_overflow, config.db_pool_timeout) == (6, 2, 9)
    assert (config.db_connect_timeout, config.db_lock_timeout) == (7, 8)
    assert (config.db_statement_timeout, config.request_timeout) == (11, 12)
    assert config.trusted_proxies == 1
    assert config.cors_origins == ("https://a.example", "http://b.example:8080")
    assert config.trusted_hosts == ("todos.example.com", ".example.org", "[::1]", "under_score")
    assert (config.log_level, config.log_sql) == ("warning", True)
    assert (config.log_format, config.slow_query_ms, config.metrics) == ("json", 50, True)


def test_without_an_access_token_the_service_is_open() -> None:
    assert read().access_token is None


def test_the_access_token_is_not_part_of_the_representation() -> None:
    token = "correct-horse-battery-staple"
    config = read(ACCESS_TOKEN=token)

    assert config.access_token == token
    assert token not in repr(config)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("", "is empty; to allow access without a token, unset it"),
        ("s3cret", "must have 20 to 1000 characters, not 6"),
        ("s3cret" * 200, "must have 20 to 1000 characters, not 1200"),
        ("correct horse battery s3cret", "must be printable ASCII characters without spaces"),
        ("correct-horse-battery-s3cret\n", "must be printable ASCII characters without spaces"),
        ("correct-hörse-battery-s3cret", "must be printable ASCII characters without spaces"),
    ],
)
def test_an_invalid_access_token_is_an_error_that_does_not_show_it(
    value: str, problem: str
) -> None:
    with pytest.raises(ConfigError) as error:
        read(ACCESS_TOKEN=value)

    assert str(error.value) == f"ACCESS_TOKEN {problem}"


def test_behind_a_proxy_no_origin_is_allowed_by_default() -> None:
    assert "http://localhost:3000" in read().cors_origins
    assert read(TRUSTED_PROXIES="1").cors_origins == ()
    origin = "http://localhost:3000"
    assert read(TRUSTED_PROXIES="1", CORS_ORIGINS=origin).cors_origins == (origin,)
