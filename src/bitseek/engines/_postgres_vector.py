"""pgvector: the Hamming distance `<~>` of PostgreSQL's bit(K), and an HNSW index for it."""

from typing import NamedTuple

from psycopg import errors, sql

from bitseek.engines._postgres_server import Connection
from bitseek.errors import RunError

_OLDEST = (0, 7)
"""Version since which pgvector compares bits."""

_OLDEST_HNSW = (0, 8)
"""Version since which its index goes on until as many hits are found as are wanted."""


_UPDATE = "install a newer one, then let the owner of the database run: ALTER EXTENSION vector UPDATE"


class Vector(NamedTuple):
    """pgvector in a database.

    Attributes:
        schema: where it lies; named in every statement, so that the search path does not matter.
        version: its first two numbers.
    """

    schema: str
    version: tuple[int, ...]

    @property
    def distance(self) -> sql.Composable:
        """The Hamming distance, as an operator."""
        return sql.SQL("OPERATOR({}.<~>)").format(sql.Identifier(self.schema))

    @property
    def operators(self) -> sql.Composable:
        """The class of operators of an HNSW index.

        Raises:
            RunError: pgvector is too old for it.
        """
        if self.version < _OLDEST_HNSW:
            raise RunError(f"search=hnsw needs pgvector 0.8 or later; {_UPDATE}")
        return sql.SQL("{}.bit_hamming_ops").format(sql.Identifier(self.schema))

    @classmethod
    def of(cls, connection: Connection, name: str) -> "Vector":
        """What is switched on in a database.

        Args:
            connection: to the database.
            name: of the database, for messages.

        Raises:
            RunError: it is not, or is too old.
        """
        row = connection.execute(
            "SELECT n.nspname, e.extversion FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace "
            "WHERE e.extname = 'vector'"
        ).fetchone()
        if row is None:
            raise RunError(f"the database of {name} has no pgvector; let its owner run: CREATE EXTENSION vector")
        version = tuple(int(part) for part in row[1].split(".")[:2])
        if version < _OLDEST:
            raise RunError(f"{name} has pgvector {row[1]}, which cannot compare codes; 0.7 or later can; {_UPDATE}")
        return cls(row[0], version)


def switch_on(connection: Connection, name: str) -> None:
    """Switch pgvector on in a database, unless it is.

    Args:
        connection: to the database.
        name: of the database, for messages.

    Raises:
        RunError: the server does not have it, or an old one, or the user may not.
    """
    if connection.execute("SELECT FROM pg_extension WHERE extname = 'vector'").fetchone() is None:
        try:
            connection.execute("CREATE EXTENSION vector")
        except errors.InsufficientPrivilege as error:
            raise RunError(
                f"pgvector is not switched on in the database of {name}, and this user may not; let its owner run: "
                "CREATE EXTENSION vector"
            ) from error
        except (errors.FeatureNotSupported, errors.UndefinedFile) as error:
            raise RunError(
                f"the server of {name} has no pgvector, which compares codes; install it there (Debian's package is "
                "postgresql-NN-pgvector; images with it are pgvector/pgvector), see docs/engines.md"
            ) from error
    Vector.of(connection, name)
