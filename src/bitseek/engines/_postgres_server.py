"""Connections to a PostgreSQL server, the lock of the one writer, and what goes wrong there, in sentences."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg import errors

from bitseek.engines._postgres_address import PostgresAddress
from bitseek.engines._postgres_code import register
from bitseek.errors import RunError

Connection = psycopg.Connection[tuple[Any, ...]]

_CONNECT_SECONDS = 10
_POLL_SECONDS = 0.1
_LOCKS = 0x62697473
"""Class of bitseek's advisory locks: "bits"."""

_LOCK = "SELECT pg_try_advisory_lock(%s, hashtext(%s))"
_UNLOCK = "SELECT pg_advisory_unlock(%s, hashtext(%s))"

_HOLDER = """
SELECT a.application_name, coalesce(host(a.client_addr), 'the machine of the server'), a.backend_start
FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.objsubid = 2 AND l.granted AND l.classid = %s
AND l.objid = (hashtext(%s)::bigint & 4294967295)::oid AND a.datname = current_database()
"""


class Server:
    """Connections of this process to the server of an address, one for each thread that reads at a time.

    Args:
        address: of a collection.
    """

    def __init__(self, address: PostgresAddress) -> None:
        self.address = address
        self._idle: list[Connection] = []
        self._lock = threading.Lock()
        self._closed = False

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that sees the tables as of one moment, for one thread, in a block.

        Raises:
            RunError: the server cannot be reached, or does not allow it.
        """
        with sentences(self.address):
            connection = self._begun()
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                connection.close()
                raise
            with self._lock:
                if not self._closed:
                    self._idle.append(connection)
                    return
            connection.close()

    @contextmanager
    def writing(self, wait: float) -> Iterator[Connection]:
        """The connection of the one writer, in a block; each statement is a transaction, unless it is in one.

        The lock is the server's and ends with the connection, so no kill leaves it behind.

        Args:
            wait: seconds to wait for another writer.

        Raises:
            RunError: another writer is at it, or the server cannot be reached.
        """
        with sentences(self.address), self._connected() as connection:
            key, until = (_LOCKS, self.address.collection), time.monotonic() + wait
            while not one(connection, _LOCK, key)[0]:
                if time.monotonic() >= until:
                    raise RunError(
                        f"{self._holder_in_words(connection)}; try again when it has finished, or wait for it: --wait "
                        "SECONDS, in Python wait=SECONDS"
                    )
                time.sleep(_POLL_SECONDS)
            try:
                yield connection
            finally:  # of the connection's end the server may learn after our next writer has asked
                with suppress(psycopg.Error):
                    connection.execute(_UNLOCK, key)

    def is_written(self) -> bool:
        """Whether a writer is at it, in whatever process."""
        with self.reading() as connection:
            return connection.execute(_HOLDER, (_LOCKS, self.address.collection)).fetchone() is not None

    def _holder_in_words(self, connection: Connection) -> str:
        row = connection.execute(_HOLDER, (_LOCKS, self.address.collection)).fetchone()
        if row is None or row[0] is None:  # it has just ended, or is another user's and may not be seen
            return f"another program is writing to {self.address.shown}"
        program, host, since = row
        return f"{program} on {host} has been writing to {self.address.shown} since {since:%Y-%m-%d %H:%M:%S}"

    def _begun(self) -> Connection:
        """A connection in a transaction; one that the server has closed meanwhile is replaced."""
        while True:
            with self._lock:
                if self._closed:
                    raise RunError(f"the collection at {self.address.shown} was closed")
                known = self._idle.pop() if self._idle else None
            connection = known or self._connected()
            try:
                connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                return connection
            except errors.OperationalError:
                connection.close()
                if known is None:
                    raise

    def _connected(self) -> Connection:
        options: dict[str, Any] = {"autocommit": True, "application_name": "bitseek"}
        if "connect_timeout=" not in self.address.conninfo:
            options["connect_timeout"] = _CONNECT_SECONDS
        try:
            connection = psycopg.connect(self.address.conninfo, **options)
        except errors.ProgrammingError:  # what libpq says of an address repeats it, with its password
            raise RunError(f"{self.address.shown} is no address that PostgreSQL's client understands") from None
        except errors.OperationalError as error:
            raise RunError(_not_connected(self.address, str(error))) from error
        register(connection)
        return connection


def one(connection: Connection, statement: Any, values: Any = None) -> tuple[Any, ...]:
    """The one row of an answer."""
    row = connection.execute(statement, values).fetchone()
    assert row is not None
    return row


@contextmanager
def sentences(address: PostgresAddress) -> Iterator[None]:
    """Turn every error of the server in the block into a `RunError` that says what to do."""
    try:
        yield
    except errors.Error as error:
        raise RunError(_in_words(address, error)) from error


def _not_connected(address: PostgresAddress, reason: str) -> str:
    why = " ".join(reason.split()) or "it gave no reason"
    if "password" in reason or "authentication" in reason:
        return f"{address.shown} refused the user: {why}; give the password by PGPASSWORD or in ~/.pgpass"
    return f"cannot reach {address.shown}: {why}; see that the server runs, and host, port and database in the address"


def _in_words(address: PostgresAddress, error: errors.Error) -> str:
    name, why = address.shown, (str(error).strip().splitlines() or [type(error).__name__])[0]
    with suppress(StopIteration):
        return next(words for kind, words in _WORDS.items() if isinstance(error, kind)).format(name=name, why=why)
    return f"{name} cannot be used: {why}"


_WORDS: dict[type[errors.Error], str] = {
    errors.InsufficientPrivilege: "the user may not do this at {name}: {why}; ask who owns the database",
    errors.ReadOnlySqlTransaction: "{name} can only be read, as it is a copy of another server; write to that one",
    errors.DiskFull: "the disk of the server at {name} is full: {why}. What was added before is kept",
    errors.UndefinedTable: "the tables of {name} are not there, or not whole ({why}); index the images into a new one",
    errors.QueryCanceled: "{name} gave up the work: {why}",
    errors.OperationalError: "the connection to {name} was lost: {why}. What was added before is kept; try again",
}
"""What is said of each kind of error; the first that fits."""
