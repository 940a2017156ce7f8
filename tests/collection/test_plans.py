"""No statement but those of a verification and of a listing reads all rows: ten million must not slow an update."""

import re
import sqlite3

import numpy as np
from tests.collection.harness import files, png

from bitseek.codes import Codes
from bitseek.collection import Collection, _compare
from bitseek.collection._connections import Connections


def test_no_statement_reads_all_items(tmp_path, photos, hasher, monkeypatch):
    statements, connected = set(), Connections._connected

    def traced(self, mode, file=None):
        connection = connected(self, mode, file)
        connection.set_trace_callback(statements.add)
        return connection

    monkeypatch.setattr(Connections, "_connected", traced)
    with Collection.create(tmp_path / "c", hasher=hasher) as collection:
        collection.update(photos / "a", hasher=hasher)
        collection.add_codes(
            Codes.from_bits(np.eye(3, 70) > 0), paths=[photos / "b" / "01.png", "x", "y"], labels=[*"abc"]
        )
        collection.update(photos, hasher=hasher)  # takes up a root and a part of another
        (photos / "a" / "00.png").rename(photos / "b" / "moved.png")
        (photos / "a" / "02.png").write_bytes(png(50))
        (photos / "a" / "bad.png").write_bytes(b"bad")
        (photos / "labels.csv").write_text("path,label\na/04.png,z\n")
        for _ in range(3):
            collection.update(hasher=hasher)
        (photos / "b" / "03.png").unlink()
        collection.update(photos / "b" / "03.png")
        collection.search(files(photos)[0], label="a")
        collection.find(photos / "a" / "04.png"), collection.items(start=2, limit=3), collection.labels()
        collection.ignored(), collection.statistics(), collection.refresh()
        collection.remove([collection.find(files(photos)[0]).id])
        collection.forget(photos)
    connection = sqlite3.connect(tmp_path / "c" / "items.sqlite")
    connection.executescript(_compare._TABLES)
    asked = [text for text in statements if re.match(r"\s*(SELECT|INSERT|UPDATE|DELETE)", text) and "items" in text]
    assert len(asked) > 30
    for text in asked:
        plan = [row[3] for row in connection.execute("EXPLAIN QUERY PLAN " + text)]
        for step in plan:
            assert not re.search(r"SCAN (items|i|t)\b|by_(label|hash|path) \((label|hash|root)>", step), (text, plan)
    connection.close()
