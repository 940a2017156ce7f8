"""The tables of a collection in PostgreSQL, in a schema with the collection's name.

    meta        facts of the whole collection, as text
    items       one row an id: the code as bit(K), and what is known of the image; of those that are gone, the code
    staged      rows that replace those of `items`, or follow on them, when the update that they are of is published
    roots       folders that were indexed; `staged` ones take the places of the others with the rows
    ignored     files that are left out, with the reason
    thumbnails  JPEG files, by the hash of the image's file
    model       the files of the model, in parts

An update stages its rows as they come, each batch in a transaction, and publishes all of them in one more. So a reader
sees a whole update or none, and what was staged by a writer that was killed is published by the next one.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import LiteralString, NamedTuple

from psycopg import sql

from bitseek.collection import IgnoredRow, RootRow, StoredItem
from bitseek.engines._postgres_address import PostgresAddress
from bitseek.engines._postgres_code import Code
from bitseek.engines._postgres_server import Connection, Server, one
from bitseek.engines._postgres_vector import Vector, switch_on
from bitseek.errors import RunError

FORMAT = "1"

_AT_ONCE = 1 << 14
"""Items that are sent by one COPY."""

_SCHEMA = """
CREATE SCHEMA {schema};
CREATE TABLE {schema}.meta (key text PRIMARY KEY, value text NOT NULL);
CREATE TABLE {schema}.items (
    id bigint PRIMARY KEY, code bit({bits}) NOT NULL, root integer, path bytea, size bigint NOT NULL,
    mtime_ns bigint NOT NULL, hash bytea, label text, width integer NOT NULL, height integer NOT NULL,
    gone boolean NOT NULL
);
CREATE INDEX by_path ON {schema}.items USING hash (path) WHERE path IS NOT NULL;
CREATE INDEX by_label ON {schema}.items (left(label, 100), id) WHERE label IS NOT NULL;
CREATE TABLE {schema}.staged (LIKE {schema}.items, PRIMARY KEY (id));
CREATE TABLE {schema}.roots (id integer NOT NULL, kind text NOT NULL, folder bytea NOT NULL, staged boolean NOT NULL);
CREATE TABLE {schema}.ignored (
    root integer NOT NULL, path bytea NOT NULL, size bigint NOT NULL, mtime_ns bigint NOT NULL, reason text NOT NULL,
    removed boolean NOT NULL
);
CREATE TABLE {schema}.thumbnails (hash bytea PRIMARY KEY, jpeg bytea NOT NULL);
CREATE TABLE {schema}.model (name text NOT NULL, part integer NOT NULL, content bytea NOT NULL)
"""

TABLES = ("meta", "items", "staged", "roots", "ignored", "thumbnails", "model")

_MERGE = """
DELETE FROM {schema}.items USING {schema}.staged WHERE items.id = staged.id;
INSERT INTO {schema}.items SELECT * FROM {schema}.staged;
DELETE FROM {schema}.thumbnails t WHERE EXISTS (SELECT FROM {schema}.staged WHERE gone)
AND NOT EXISTS (SELECT FROM {schema}.items i WHERE i.hash = t.hash);
TRUNCATE {schema}.staged
"""

_MERGE_ROOTS = """
DELETE FROM {schema}.roots WHERE NOT staged AND EXISTS (SELECT FROM {schema}.roots WHERE staged);
UPDATE {schema}.roots SET staged = false WHERE staged
"""


COLUMNS = sql.SQL(", ").join(map(sql.Identifier, StoredItem._fields))

_TYPES = ("int8", "bit", "int4", "bytea", "int8", "int8", "bytea", "text", "int4", "int4", "bool")


class Meta(NamedTuple):
    """What is recorded of the whole collection.

    Attributes:
        bits: length of the codes.
        fingerprint: of the model; empty if there is none.
        thumbnails: 1 if thumbnails are kept, else 0.
        generation: number of the last update that was published.
        size: number of ids that were given up to then.
        items: number of items that can be found.
        recall: of searches through the HNSW index, see `Recall`; empty if there is no such index.
    """

    bits: int
    fingerprint: str
    thumbnails: int
    generation: int = 0
    size: int = 0
    items: int = 0
    recall: str = ""


class Tables:
    """The tables of one collection, by connections that the caller gives.

    Args:
        address: of the collection.
    """

    def __init__(self, address: PostgresAddress) -> None:
        self.address = address
        self._schema = sql.Identifier(address.collection)
        self._vector: Vector | None = None

    def named(self, statement: LiteralString, **parts: sql.Composable) -> sql.Composed:
        """A statement with the name of the schema and further parts in it."""
        return sql.SQL(statement).format(schema=self._schema, **parts)

    # --- made and opened --------------------------------------------------------------------------------------

    def exist(self, connection: Connection) -> bool:
        """Whether there is a collection.

        Raises:
            RunError: there is a schema of this name, but no collection in it.
        """
        name = self.address.collection
        found = connection.execute(
            "SELECT c.oid FROM pg_namespace n LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = 'staged' "
            "WHERE n.nspname = %s",
            (name,),
        ).fetchone()
        if found == (None,):
            raise RunError(
                f"the schema {name!r} of {self.address.shown} is not a collection; give another name: ?collection=NAME"
            )
        return found is not None

    def create(self, connection: Connection, meta: Meta, model: Iterable[tuple[str, int, bytes]] = ()) -> None:
        """Make the tables of an empty collection, in one transaction.

        Args:
            connection: of the writer.
            meta: what is recorded of it.
            model: the parts of the model's files: name, number, content.

        Raises:
            RunError: there is a schema of this name, or PostgreSQL has no pgvector.
        """
        if self.exist(connection):
            raise RunError(f"{self.address.shown} is there already; give another name: ?collection=NAME")
        with connection.transaction():
            switch_on(connection, self.address.shown)
            connection.execute(self.named(_SCHEMA, bits=sql.Literal(meta.bits)), prepare=False)
            self.put_meta(connection, {"format": FORMAT, **meta._asdict()})
            statement = self.named("INSERT INTO {schema}.model VALUES (%s, %s, %s)")
            for part in model:  # of 16 MiB each, so that no more than one is held
                connection.execute(statement, part)

    def drop(self, connection: Connection) -> None:
        """Delete the tables, and the schema if nothing else is in it."""
        with connection.transaction():
            for table in TABLES:
                connection.execute(self.named("DROP TABLE {schema}.{table}", table=sql.Identifier(table)))
            connection.execute(self.named("DROP SCHEMA {schema}"))

    def vector(self, connection: Connection) -> Vector:
        """pgvector, in the database of the collection.

        Raises:
            RunError: it is not there, or too old.
        """
        if self._vector is None:
            self._vector = Vector.of(connection, self.address.shown)
        return self._vector

    # --- facts ------------------------------------------------------------------------------------------------

    def meta(self, connection: Connection) -> Meta:
        """What is recorded of the whole collection.

        Raises:
            RunError: there is none, or of another format.
        """
        name = self.address.shown
        if not self.exist(connection):
            raise RunError(
                f"there is no collection at {name}; make one with: bitseek index '{name}' FOLDER --model RUN"
            )
        values: dict[str, str] = dict(connection.execute(self.named("SELECT key, value FROM {schema}.meta")).fetchall())
        found = values.pop("format", "unknown")
        kinds = Meta.__annotations__
        if found != FORMAT or set(values) != set(kinds):
            raise RunError(
                f"{name} has format {found}, this bitseek reads format {FORMAT}; index the images into a new collection"
            )
        return Meta(**{key: kinds[key](value) for key, value in values.items()})

    def put_meta(self, connection: Connection, values: Mapping[str, object]) -> None:
        """Change what is recorded of the whole collection."""
        statement = self.named(
            "INSERT INTO {schema}.meta VALUES (%s, %s) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
        )
        with connection.cursor() as cursor:
            cursor.executemany(statement, [(key, str(value)) for key, value in values.items()])

    def roots(self, connection: Connection) -> list[RootRow]:
        """The folders that were indexed: number, kind, path."""
        statement = self.named("SELECT id, kind, folder FROM {schema}.roots WHERE NOT staged ORDER BY id")
        return connection.execute(statement).fetchall()

    def ignored(self, connection: Connection) -> list[IgnoredRow]:
        """The files that are left out: root, path, size and time of change, reason, whether by hand."""
        statement = self.named("SELECT root, path, size, mtime_ns, reason, removed FROM {schema}.ignored")
        return connection.execute(statement).fetchall()

    def model(self, connection: Connection) -> Iterator[tuple[str, bytes]]:
        """The parts of the model's files, in order: name, content."""
        with connection.cursor(binary=True) as cursor:
            names = cursor.execute(self.named("SELECT name, part FROM {schema}.model ORDER BY name, part")).fetchall()
            for name, part in names:  # one at a time
                statement = self.named("SELECT content FROM {schema}.model WHERE name = %s AND part = %s")
                yield name, one(connection, statement, (name, part))[0]

    # --- rows -------------------------------------------------------------------------------------------------

    def items(self, connection: Connection) -> Iterator[StoredItem]:
        """All items that can be found, by id, read as they are taken."""
        statement = self.named(
            "COPY (SELECT {columns} FROM {schema}.items WHERE NOT gone ORDER BY id) TO STDOUT (FORMAT binary)",
            columns=COLUMNS,
        )
        with connection.cursor() as cursor, cursor.copy(statement) as copy:
            copy.set_types(_TYPES)
            for row in copy.rows():
                yield StoredItem._make(row)

    def stage(self, connection: Connection, items: Iterable[StoredItem], bits: int) -> None:
        """Write items that take the places of others when they are published, and of those that were staged before.

        Args:
            connection: of the writer.
            items: no id twice.
            bits: length of the codes.
        """
        statement = self.named("COPY {schema}.staged ({columns}) FROM STDIN (FORMAT binary)", columns=COLUMNS)
        given = iter(items)
        while batch := list(islice(given, _AT_ONCE)):
            ids = [item.id for item in batch]
            connection.execute(self.named("DELETE FROM {schema}.staged WHERE id = ANY(%s)"), (ids,))
            with connection.cursor() as cursor, cursor.copy(statement) as copy:
                copy.set_types(_TYPES)
                for item in batch:
                    copy.write_row((item.id, Code.of(item.code, bits), *item[2:]))

    def stage_removal(self, connection: Connection, which: sql.Composable, values: Mapping[str, object]) -> int:
        """Stage that items are gone; how many.

        Args:
            connection: of the writer, which has staged nothing yet.
            which: a condition of the items.
            values: in it, by name.
        """
        statement = self.named(
            "INSERT INTO {schema}.staged SELECT id, code, NULL, NULL, 0, 0, NULL, NULL, 0, 0, true FROM {schema}.items "
            "WHERE NOT gone AND {which}",
            which=which,
        )
        return connection.execute(statement, values).rowcount

    def stage_roots(self, connection: Connection, roots: Iterable[RootRow]) -> None:
        """Stage the folders that are indexed, all of them."""
        connection.execute(self.named("DELETE FROM {schema}.roots WHERE staged"))
        with connection.cursor() as cursor:
            cursor.executemany(self.named("INSERT INTO {schema}.roots VALUES (%s, %s, %s, true)"), list(roots))

    def put_ignored(self, connection: Connection, files: Iterable[IgnoredRow]) -> None:
        """Replace what is recorded of the files that are left out."""
        connection.execute(self.named("DELETE FROM {schema}.ignored"))
        with connection.cursor() as cursor, cursor.copy(self.named("COPY {schema}.ignored FROM STDIN")) as copy:
            for file in files:
                copy.write_row(file)

    def leave_out(self, connection: Connection, which: sql.Composable, values: Mapping[str, object]) -> None:
        """Remember the files of items that are to be removed by hand: `values` has the reason."""
        delete = self.named(
            "DELETE FROM {schema}.ignored g USING {schema}.items i "
            "WHERE g.root = i.root AND g.path = i.path AND NOT gone AND {which}",
            which=which,
        )
        insert = self.named(
            "INSERT INTO {schema}.ignored SELECT root, path, size, mtime_ns, %(reason)s, true FROM {schema}.items "
            "WHERE NOT gone AND path IS NOT NULL AND {which}",
            which=which,
        )
        for statement in (delete, insert):
            connection.execute(statement, values)

    def drop_root(self, connection: Connection, root: int) -> None:
        """Forget a folder, and the files in it that are left out."""
        connection.execute(self.named("DELETE FROM {schema}.roots WHERE id = %s"), (root,))
        connection.execute(self.named("DELETE FROM {schema}.ignored WHERE root = %s"), (root,))

    def put_thumbnails(self, connection: Connection, thumbnails: Iterable[tuple[bytes, bytes]]) -> None:
        """Store thumbnails by hash; those that are there stay."""
        statement = self.named("INSERT INTO {schema}.thumbnails VALUES (%s, %s) ON CONFLICT DO NOTHING")
        with connection.cursor() as cursor:
            given = iter(thumbnails)
            while batch := list(islice(given, 256)):
                cursor.executemany(statement, batch)

    def publish(self, connection: Connection) -> bool:
        """Make what was staged visible to readers, in one transaction; whether there was anything."""
        with connection.transaction():
            connection.execute(self.named(_MERGE_ROOTS), prepare=False)
            statement = self.named("SELECT max(id), count(*) FILTER (WHERE NOT gone) FROM {schema}.staged")
            last, new = one(connection, statement)
            if last is None:
                return False
            meta = self.meta(connection)
            statement = self.named(
                "SELECT count(*) FROM {schema}.items JOIN {schema}.staged USING (id) WHERE NOT items.gone"
            )
            (old,) = one(connection, statement)
            connection.execute(self.named(_MERGE), prepare=False)
            changed = {
                "generation": meta.generation + 1,
                "size": max(meta.size, last + 1),
                "items": meta.items + new - old,
            }
            self.put_meta(connection, changed)
        return True


@contextmanager
def writer(server: Server, tables: Tables, wait: float) -> Iterator[Connection]:
    """The connection of the one writer, in a block; what another one staged before it was killed is published first.

    Args:
        server: with the tables.
        tables: of the collection.
        wait: seconds to wait for another writer.

    Raises:
        RunError: another writer is at it, there is no collection, or the server cannot be reached.
    """
    with server.writing(wait) as connection:
        tables.meta(connection)  # or it says that there is none
        tables.publish(connection)
        yield connection
