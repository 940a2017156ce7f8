"""Codes in PostgreSQL, beyond what every engine does: filters, the HNSW index, one writer, and what goes wrong."""

import shutil
import threading
import time
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest
from tests.engines import postgres
from tests.engines.harness import brute_force, check, codes

pytest.importorskip("psycopg", reason=postgres.WHY.format("psycopg"))

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bitseek.codes import Codes
from bitseek.collection import Collection, StoredItem
from bitseek.engines import _postgres_search, connect, open_collection
from bitseek.engines._postgres import PostgresEngine
from bitseek.engines._postgres_collection import PostgresCollection
from bitseek.engines._postgres_search import Recall
from bitseek.engines._postgres_server import Server
from bitseek.engines._postgres_tables import Tables, writer
from bitseek.errors import BitseekError, RunError


def asked(address, call):
    """What an engine answers that is opened for one call."""
    with closing(connect(address)) as engine:
        return call(engine)


def filled(items, bits, **options):
    """Address of a collection of given items."""
    address = postgres.address(**options)
    with_tables(address, bits, items)
    return address


def with_tables(address, bits, items):
    engine = PostgresEngine.create(address, bits=bits)
    tables, server = Tables(engine.address), Server(engine.address)
    with writer(server, tables, 0.0) as connection:
        tables.stage(connection, items, bits)
        tables.publish(connection)
    engine.close()


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(1, 140), st.integers(0, 60), st.integers(0, 2**32 - 1))
def test_any_length_of_code(bits, n, seed):
    database, queries = codes(n, bits, seed), codes(3, bits, seed + 1)
    engine = PostgresEngine.create(postgres.address(), bits=bits)
    engine.add(database)
    check(engine, database, queries, np.ones(n, bool), 5, bits // 3)
    assert engine.codes() == database
    engine.close()


def test_filters():
    """Against the same conditions in Python; values with quotes are values."""
    rng = np.random.default_rng(0)
    database, queries = codes(300, 32), codes(4, 32, seed=1)
    hostile = "it's; DROP TABLE items --"
    labels = rng.choice(["cat", hostile, "x" * 3000, None], 300).tolist()
    widths = rng.integers(1, 20, 300).tolist()
    packed = database.to_packed("big")
    items = [
        StoredItem(i, packed[i].tobytes(), label=labels[i], width=widths[i], height=7, size=i, mtime_ns=i)
        for i in range(300)
    ]
    engine = connect(filled(items, 32))
    cases = [
        ({"label": "cat"}, lambda i: labels[i] == "cat"),
        ({"label": hostile}, lambda i: labels[i] == hostile),
        ({"label": "x" * 3000}, lambda i: labels[i] == "x" * 3000),
        ({"label": None}, lambda i: labels[i] is None),
        ({"label": ["cat", "x" * 3000]}, lambda i: labels[i] in ("cat", "x" * 3000)),
        ({"width": (5, 9), "label": "cat"}, lambda i: 5 <= widths[i] <= 9 and labels[i] == "cat"),
        ({"width": (None, 9)}, lambda i: widths[i] <= 9),
        ({"width": (9, None), "height": 7}, lambda i: widths[i] >= 9),
        ({"height": 8}, lambda i: False),
    ]  # fmt: skip
    for where, fits in cases:
        alive = np.array([fits(i) for i in range(300)])
        distances, ids = brute_force(database, queries, alive)
        order = np.argsort(distances, axis=1, kind="stable")
        hits = engine.nearest(queries, 10, where=where)
        np.testing.assert_array_equal(hits.ids, ids[order[:, :10]])
        for row, near, (found, _) in zip(distances, order, engine.within(queries, 9, where=where), strict=True):
            np.testing.assert_array_equal(found, ids[near[row[near] <= 9]])
    with pytest.raises(BitseekError, match="no 'id = 1 OR true' to choose"):
        engine.nearest(queries, 3, where={"id = 1 OR true": 1})
    engine.close()


def test_the_hnsw_index():
    """It is used where the address asks for it and nowhere else; its recall is measured, and follows the effort."""
    address = postgres.address()
    database = Codes.from_bits(np.random.default_rng(0).random((3000, 256)) < 0.5)  # hard: no clusters
    rng = np.random.default_rng(1)
    queries = Codes.from_bits(database[rng.integers(0, 3000, 200)].to_bits() ^ (rng.random((200, 256)) < 1 / 16))
    made = PostgresEngine.create(address, bits=256)
    made.add(database)
    made.remove([5, 6])
    near = postgres.also(address, search="hnsw", effort=10)
    with pytest.raises(RunError, match="no HNSW index"):
        asked(near, lambda engine: engine.nearest(queries, 3))
    with open_collection(near) as opened:
        opened.add_codes(database[:1])  # any change builds it
        low = opened.recall
    assert isinstance(low, Recall) and (low.k, low.effort, low.queries) == (10, 10, 32)
    with open_collection(postgres.also(near, effort=400)) as opened:
        high = opened.recall
    assert low.share < high.share <= 1 and high.effort == 400  # 0.86 and 1; each index is another, by chance

    alive = np.ones(3001, bool)
    alive[[5, 6]] = False
    whole = Codes.concat([database, database[:1]])
    check(made, whole, queries, alive, 10, 20)  # exact though there is an index
    distances, ids = brute_force(whole, queries, alive)
    best = np.sort(distances, axis=1)[:, :10]
    found = asked(near, lambda engine: engine.nearest(queries, 10))
    columns = np.searchsorted(ids, found.ids)
    np.testing.assert_array_equal(ids[columns], found.ids)  # none that is gone
    np.testing.assert_array_equal(np.take_along_axis(distances, columns, 1), found.distances)
    order = np.lexsort((found.ids, found.distances))
    np.testing.assert_array_equal(order, np.tile(np.arange(10), (200, 1)))
    assert (found.distances >= best).all()
    share = (found.distances <= best[:, -1:]).mean()
    assert share < 1 and abs(share - low.share) < 0.2  # of others of the same kind
    many = asked(near, lambda engine: engine.nearest(queries[:2], 2990))
    assert many.ids.shape == (2, 2990)  # more than the index would give
    with postgres.connection() as owner:
        owner.execute("SET enable_seqscan = off")
        plans = [
            "\n".join(row[0] for row in owner.execute(f"EXPLAIN {_statement(address, order)}").fetchall())
            for order in ("code <~> repeat('1', 256)::bit(256)", "(code <~> repeat('1', 256)::bit(256))::integer, id")
        ]
    assert "by_code" in plans[0] and "by_code" not in plans[1]
    made.close()


@contextmanager
def to_be_indexed(**settings):
    """The writer's connection, the tables and what is recorded of 2,000 codes, on a server with settings of its own."""
    given = "%20".join(f"-c%20{name}%3D{value}" for name, value in settings.items())
    engine = PostgresEngine.create(postgres.address(options=given), bits=256)
    engine.add(codes(2000, 256))
    with closing(engine), writer(Server(engine.address), tables := Tables(engine.address), 0.0) as connection:
        yield connection, tables, tables.meta(connection)


def test_the_hnsw_index_is_built_in_memory(monkeypatch):
    """Where the server allows too little, it is asked for more, for this one build; up to a bound."""
    said = []
    with to_be_indexed(maintenance_work_mem="1MB") as (connection, tables, meta):
        connection.add_notice_handler(lambda notice: said.append(notice.message_primary))
        _postgres_search.build_index(connection, tables, meta)
        assert not said and connection.execute("SHOW maintenance_work_mem").fetchone() == ("1MB",)
        connection.execute(tables.named("DROP INDEX {schema}.by_code"))
        monkeypatch.setattr(_postgres_search, "MOST_MEMORY", 1 << 20)
        _postgres_search.build_index(connection, tables, meta)
        assert len(said) == 1 and "no longer fits into maintenance_work_mem" in said[0]


def test_where_workers_can_share_no_memory_one_process_builds_the_hnsw_index(monkeypatch):
    """As in a container; here they are asked to share a terabyte."""
    if not Path("/dev/shm").is_dir() or not 0 < shutil.disk_usage("/dev/shm").total < 1 << 40:
        pytest.skip("what processes share has no bound here")
    monkeypatch.setattr(_postgres_search, "_BYTES_OF_NODE", 1 << 40)
    monkeypatch.setattr(_postgres_search, "MOST_MEMORY", 1 << 40)
    real, asked_for = _postgres_search._create_index, []
    monkeypatch.setattr(
        _postgres_search,
        "_create_index",
        lambda *given, **workers: asked_for.append(workers) or real(*given, **workers),
    )
    with to_be_indexed(min_parallel_table_scan_size=0) as (connection, tables, meta):
        _postgres_search.build_index(connection, tables, meta)
        assert asked_for == [{}, {"workers": "0"}] and _postgres_search.has_index(connection, tables)


def test_the_next_writer_need_not_wait_until_the_server_has_seen_the_last_one_go(monkeypatch):
    import psycopg

    with closing(PostgresEngine.create(postgres.address(), bits=16)) as engine:
        server, close = Server(engine.address), psycopg.Connection.close
    open_yet = []
    monkeypatch.setattr(psycopg.Connection, "close", lambda self: open_yet.append(self))
    with server.writing(0.0), pytest.raises(RunError, match="has been writing"), server.writing(0.0):
        pass
    with server.writing(0.0):
        pass
    assert len(open_yet) == 3
    for connection in open_yet:
        close(connection)


def _statement(address, order):
    name = address.rpartition("collection=")[2]
    return f'SELECT id FROM "{name}".items WHERE NOT gone ORDER BY {order} LIMIT 10'


def test_one_writer():
    """A second one is told who writes, or waits; searches go on."""
    address = postgres.address()
    engine = PostgresEngine.create(address, bits=16)
    engine.add(codes(20, 16))
    server, tables = Server(engine.address), Tables(engine.address)
    with writer(server, tables, 0.0):
        with pytest.raises(RunError, match=r"bitseek on .* has been writing to postgresql://postgres@/.* since 2"):
            engine.add(codes(1, 16))
        assert len(engine.nearest(codes(1, 16), 3).ids[0]) == 3
        with open_collection(address) as opened:
            assert opened.progress().what == "writing"
    began = threading.Event()

    def hold():
        with writer(server, tables, 0.0):
            began.set()
            time.sleep(0.3)

    thread = threading.Thread(target=hold)
    thread.start()
    assert began.wait(120)
    with open_collection(address) as opened:
        assert opened.remove([0], wait=120.0) == 1 and opened.progress() is None
    thread.join()
    engine.close()


def test_what_a_killed_writer_left_is_published_by_the_next():
    address = postgres.address()
    database = codes(30, 16)
    engine = PostgresEngine.create(address, bits=16)
    engine.add(database[:10])
    tables, server = Tables(engine.address), Server(engine.address)
    packed = database.to_packed("big")
    with writer(server, tables, 0.0) as connection:
        tables.stage(connection, (StoredItem(i, packed[i].tobytes()) for i in range(10, 20)), 16)
        tables.stage(connection, [StoredItem(3, packed[3].tobytes(), gone=True)], 16)
    assert (len(engine), engine.size) == (10, 10)  # nobody sees it
    check(engine, database[:10], database[20:], np.ones(10, bool), 20, 16)
    engine.add(database[20:])
    alive = np.ones(30, bool)
    alive[3] = False
    assert (len(engine), engine.size) == (29, 30)
    check(engine, database, database[:5], alive, 40, 16)
    engine.close()


def test_a_server_that_is_started_again_is_found_again():
    """Connections that were open are replaced."""
    engine = PostgresEngine.create(postgres.address(), bits=16)
    engine.add(codes(5, 16))
    with postgres.connection() as owner:
        owner.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'bitseek'")
    assert len(engine.nearest(codes(1, 16), 9)[0].ids) == 5
    engine.close()
    with pytest.raises(RunError, match="was closed"):
        engine.nearest(codes(1, 16))


# --- what goes wrong ------------------------------------------------------------------------------------------


@pytest.fixture
def guest():
    """A user with a password who owns nothing, and a database of its own."""
    name = "guest of bitseek"
    access = postgres.data_folder() / "pg_hba.conf"
    before = access.read_text()
    with postgres.connection() as owner:
        owner.execute(f"CREATE ROLE \"{name}\" LOGIN PASSWORD 'S3cret'")
        owner.execute(f'CREATE DATABASE "{name}"')
        access.write_text(f'local all "{name}" scram-sha-256\n{before}')
        owner.execute("SELECT pg_reload_conf()")
        deadline = time.monotonic() + 120
        while postgres.lets_in(name):  # until the server has read it
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield name
        access.write_text(before)
        owner.execute("SELECT pg_reload_conf()")
        owner.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        owner.execute(f'DROP OWNED BY "{name}"')
        owner.execute(f'DROP ROLE "{name}"')


def refusal(call):
    with pytest.raises(BitseekError) as raised:
        call()
    assert "S3cret" not in str(raised.value) and "wr0ng" not in str(raised.value)
    return str(raised.value)


def test_passwords_and_rights(guest, monkeypatch):
    user = guest.replace(" ", "%20")
    said = refusal(lambda: PostgresEngine(postgres.address(user=f"{user}:wr0ng", database=user)))
    assert "refused the user" in said and "PGPASSWORD" in said and "password authentication failed" in said
    assert "PGPASSWORD" in refusal(lambda: PostgresEngine(postgres.address(user=user, database=user)))
    monkeypatch.setenv("PGPASSWORD", "S3cret")
    mine = postgres.address(user=user, database=user)
    assert "there is no collection" in refusal(lambda: connect(mine))
    said = refusal(lambda: PostgresEngine.create(mine, bits=8))
    assert "CREATE EXTENSION vector" in said and "owner" in said
    theirs = postgres.address()
    name = theirs.rpartition("collection=")[2]
    engine = PostgresEngine.create(theirs, bits=8)
    engine.add(codes(9, 8))
    as_guest = postgres.address(user=user, collection=name)
    assert "may not do this" in refusal(lambda: asked(as_guest, lambda engine: engine.nearest(codes(1, 8))))
    with postgres.connection() as owner:
        owner.execute(f'GRANT USAGE ON SCHEMA "{name}" TO "{guest}"')
        owner.execute(f'GRANT SELECT ON ALL TABLES IN SCHEMA "{name}" TO "{guest}"')
    assert asked(as_guest, lambda engine: engine.nearest(codes(1, 8), 4)).ids.shape == (1, 4)  # who may read can search
    assert "may not do this" in refusal(lambda: asked(as_guest, lambda engine: engine.add(codes(1, 8))))
    assert len(engine) == 9
    engine.close()


def test_a_server_without_pgvector():
    with postgres.connection() as owner:
        owner.execute("CREATE DATABASE bare")
        owner.execute("ALTER DATABASE bare SET extension_control_path = '/nowhere'")
        try:
            said = refusal(lambda: PostgresEngine.create(postgres.address(database="bare"), bits=8))
            assert "has no pgvector" in said and "install it there" in said
        finally:
            owner.execute("DROP DATABASE bare WITH (FORCE)")


def test_a_server_that_is_away(tmp_path):
    said = refusal(lambda: connect(f"postgresql://me:S3cret@/db?host={tmp_path}&collection=a"))
    assert said.startswith("cannot reach postgresql://me@/db?host=") and "see that the server runs" in said
    said = refusal(lambda: connect("postgresql://me:S3cret@localhost:1/db"))
    assert "cannot reach postgresql://me@localhost:1/db" in said


def test_what_is_no_collection_stays_as_it_is():
    with postgres.connection() as owner:
        owner.execute("CREATE SCHEMA mine; CREATE TABLE mine.items (id integer); INSERT INTO mine.items VALUES (7)")
        theirs = postgres.address(collection="mine")
        for call in (
            lambda: connect(theirs),
            lambda: PostgresEngine.create(theirs, bits=8),
            lambda: PostgresCollection.exists(theirs),
            lambda: open_collection(theirs),
        ):
            assert "is not a collection" in refusal(call)
        assert owner.execute("SELECT id FROM mine.items").fetchall() == [(7,)]
        owner.execute("DROP SCHEMA mine CASCADE")
    address = postgres.address()
    PostgresEngine.create(address, bits=8).close()
    assert "is there already" in refusal(lambda: PostgresEngine.create(address, bits=8))
    with postgres.connection() as owner:
        name = address.rpartition("collection=")[2]
        owner.execute(f"UPDATE \"{name}\".meta SET value = '99' WHERE key = 'format'")
    assert "has format 99" in refusal(lambda: connect(address))


def test_every_word_of_a_collection_is_said_by_this_one():
    """None is inherited that would look for files."""
    files = {
        name
        for kind in Collection.__mro__[:-1]
        for name, value in vars(kind).items()
        if not name.startswith("_") and (callable(value) or isinstance(value, property | classmethod | staticmethod))
    }
    own = set(vars(PostgresCollection)) | set(vars(PostgresCollection.__mro__[1]))
    assert files - own == {"create", "encoder", "thumbnail"}  # which ask for what lies there by words of their own
    assert {"_make", "_model_of", "_stored_features", "_stored_thumbnail", "_bytes", "_bit_balance"} <= own
