"""Hostile input: mutated image files and mutated requests, against the decoder and a running service.

    python benchmarks/hostile.py                  # 10,000 images, 10,000 requests, 2,000 times raw bytes
    python benchmarks/hostile.py --images 500 --requests 500 --raw 100 --no-record

1. JPEG, PNG, GIF, WebP, TIFF, BMP and AVIF files with flipped bits, cut off, with edited headers, spliced with each
   other: through `bitseek.server`'s decoder in a process of its own, and as uploads to a service.
2. Requests that schemathesis makes up from the OpenAPI description, right and wrong ones, then mutated once more.
3. Bytes that are no HTTP, or nearly, on the socket.

It fails at the first crash, hang (--patience), answer of 500 or above that is not "busy" (503), or if the memory of the
service grows beyond its bound. A 503 is counted: it says that something took too long or too much.
"""

import argparse
import io
import json
import logging
import os
import random
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from record import record

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "AVIF")
BOUND_MIB = 400.0
"""By which the service may grow: pictures of up to 10 million pixels are decoded here, several at once."""
MAX_PIXELS = 10_000_000
DECODE = """
import json, sys, resource, time
from bitseek.server._pictures import picture
from bitseek.server._refusal import Refusal
answers, slowest = {}, 0.0
read = sys.stdin.buffer.read
while size := read(8):
    data = read(int.from_bytes(size, "big"))
    begin = time.perf_counter()
    try:
        pixels = picture(data, max_pixels=int(sys.argv[1])).pixels
        status = "decoded"
    except Refusal as refusal:
        status = str(refusal.status)
    slowest = max(slowest, time.perf_counter() - begin)
    answers[status] = answers.get(status, 0) + 1
    print(status, flush=True)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"answers": answers, "slowest_s": round(slowest, 3), "peak_rss_mib": round(peak, 1)}))
"""
SERVE = """
import sys
from pathlib import Path
from bitseek.server import Settings, serve
settings = Settings(
    port=0, rate=None, token=sys.argv[2], add_to=Path(sys.argv[3]), max_pixels=int(sys.argv[4]), timeout=10
)
serve(sys.argv[1], settings)
"""
TOKEN = "a-token-for-this-benchmark-only"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--raw", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--patience", type=float, default=60, help="seconds after which something hangs")
    parser.add_argument("--no-record", action="store_true")
    arguments = parser.parse_args()
    result: dict[str, Any] = {"images": arguments.images, "requests": arguments.requests, "raw": arguments.raw}
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        files = seeds()
        result["decoder"] = through_decoder(files, arguments)
        print(json.dumps(result["decoder"]))
        with Service(place, arguments.patience) as service:
            for name, attack in (("uploads", uploads), ("made_up", made_up), ("raw", raw)):
                begin = time.perf_counter()
                result[name] = attack(service, files, arguments)
                result[name] |= {"seconds": round(time.perf_counter() - begin, 1), "rss_mib": service.memory()}
                service.check(name)
                print(json.dumps({name: result[name]}))
            result["rss_mib_before"], result["rss_mib_after"] = service.before, service.memory()
    print(json.dumps(result, indent=1))
    if not arguments.no_record:
        record("hostile", result)


# --- images ------------------------------------------------------------------------------------------------------


def seeds() -> list[bytes]:
    """Sound files of every format and several kinds."""
    rng = np.random.default_rng(0)
    smooth = np.add.outer(np.arange(48), np.arange(64)).astype(np.uint8)
    colours = np.stack([smooth, smooth[::-1], rng.integers(0, 256, (48, 64), np.uint8)], axis=2)
    picture = Image.fromarray(colours)
    exif = Image.Exif()
    exif[274], exif[306] = 6, "2026:01:01 00:00:00"
    kinds: list[tuple[str, Image.Image, dict[str, Any]]] = [
        ("JPEG", picture, {}), ("JPEG", picture, {"progressive": True}), ("JPEG", picture.convert("CMYK"), {}),
        ("JPEG", picture, {"exif": exif}), ("JPEG", picture.convert("L"), {"subsampling": 0}),
        ("PNG", picture, {}), ("PNG", picture.convert("P"), {}), ("PNG", picture.convert("RGBA"), {}),
        ("PNG", picture.convert("I;16"), {}), ("PNG", picture.convert("1"), {}), ("PNG", picture, {"exif": exif}),
        ("GIF", picture, {}), ("GIF", picture, {"save_all": True, "append_images": [picture.rotate(9)] * 3}),
        ("WEBP", picture, {}), ("WEBP", picture, {"lossless": True}), ("WEBP", picture.convert("RGBA"), {}),
        ("WEBP", picture, {"save_all": True, "append_images": [picture.rotate(9)] * 3}),
        ("TIFF", picture, {}), ("TIFF", picture, {"compression": "tiff_lzw"}),
        ("TIFF", picture, {"compression": "tiff_adobe_deflate"}), ("TIFF", picture, {"compression": "jpeg"}),
        ("TIFF", picture.convert("1"), {"compression": "group4"}), ("TIFF", picture.convert("F"), {}),
        ("BMP", picture, {}), ("BMP", picture.convert("P"), {}), ("BMP", picture.convert("1"), {}),
        ("AVIF", picture, {}),
    ]  # fmt: skip
    files = []
    for form, image, options in kinds:
        buffer = io.BytesIO()
        image.save(buffer, form, **options)
        files.append(buffer.getvalue())
    assert {form for form, _, _ in kinds} == set(FORMATS)
    return files


def mutated(files: list[bytes], rng: random.Random) -> bytes:
    """One of the files, damaged."""
    data = bytearray(rng.choice(files))
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        kind = rng.randrange(8)
        place = rng.randrange(len(data))
        head = rng.randrange(min(len(data), 128))
        if kind == 0:
            data[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[head] ^= 1 << rng.randrange(8)
        elif kind == 2:  # a size or an offset in a header
            form = rng.choice((">H", "<H", ">I", "<I"))
            value = rng.choice((0, 1, 0x7F, 0xFF, 0xFFFF, 100_000, 0x7FFFFFFF, 0xFFFFFFFF))
            number = struct.pack(form, value & (0xFFFF if form[1] == "H" else 0xFFFFFFFF))
            data[head : head + len(number)] = number
        elif kind == 3:
            del data[max(1, place) :]
        elif kind == 4:
            del data[place : place + rng.randrange(1, 64)]
        elif kind == 5:
            data[place:place] = rng.randbytes(rng.randrange(1, 64))
        elif kind == 6:
            other = rng.choice(files)
            start = rng.randrange(len(other))
            data[place:] = other[start:]
        else:  # a part comes several times
            part = data[place : place + rng.randrange(1, 256)]
            data[place:place] = part * rng.randrange(1, 200)
        if not data:
            data = bytearray(b"\0")
    return bytes(data)


def through_decoder(files: list[bytes], arguments: argparse.Namespace) -> dict[str, Any]:
    """The decoder in a process of its own: each file must be answered in time."""
    rng = random.Random(arguments.seed)
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", DECODE, str(MAX_PIXELS)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None and process.stdout is not None
    watch = Watch(process, arguments.patience)
    for number in range(arguments.images):
        data = mutated(files, rng)
        process.stdin.write(len(data).to_bytes(8, "big") + data)
        process.stdin.flush()
        watch.begin()
        answer = process.stdout.readline()
        watch.end()
        if not answer:
            raise SystemExit(f"the decoder crashed or hung at image {number}, {keep(data)}: {process.wait()}")
    process.stdin.close()
    found: dict[str, Any] = json.loads(process.stdout.readline())
    assert process.wait(60) == 0 and sum(found["answers"].values()) == arguments.images
    return found


def keep(data: bytes) -> str:
    """Write what failed, for whoever looks into it."""
    handle, name = tempfile.mkstemp(prefix="bitseek-hostile-")
    os.write(handle, data)
    os.close(handle)
    return name


class Watch:
    """Kills a process that does not answer in time."""

    def __init__(self, process: "subprocess.Popen[bytes]", seconds: float) -> None:
        import threading

        self.process, self.seconds = process, seconds
        self.since: float | None = None
        threading.Thread(target=self.look, daemon=True).start()

    def begin(self) -> None:
        self.since = time.monotonic()

    def end(self) -> None:
        self.since = None

    def look(self) -> None:
        while self.process.poll() is None:
            time.sleep(1)
            since = self.since
            if since is not None and time.monotonic() - since > self.seconds:
                self.process.kill()


# --- the service -------------------------------------------------------------------------------------------------


class Service:
    """A service of a few pictures, in a process of its own."""

    def __init__(self, place: Path, patience: float) -> None:
        from tests.server.harness import draw, projections

        from bitseek.collection import Collection

        self.patience = patience
        for i in range(12):
            draw(place / "photos" / "ab"[i % 2] / f"{i}.png", i)
        (place / "added").mkdir()
        hasher = projections(place / "model.onnx")
        with Collection.create(place / "collection", hasher=hasher) as collection:
            collection.update(place / "photos", hasher=hasher)
        self.log = (place / "log").open("w+")
        command = [sys.executable, "-c", SERVE, str(place / "collection"), TOKEN, str(place / "added")]
        command.append(str(MAX_PIXELS))
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log, text=True)

    def __enter__(self) -> "Service":
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip()
        self.host, port = self.address.removeprefix("http://").split(":")
        self.port = int(port)
        self.answers: Counter[int] = Counter()
        status, _ = self.ask("POST", "/api/search", *form(seeds()[5]))
        assert status == 200
        self.before = self.memory()
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(60)
        self.log.close()

    def memory(self) -> float:
        """MiB."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return round(int(line.split()[1]) / 1024, 1)
        return 0.0

    def ask(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        """One request; its status must be below 500, or 503."""
        from http.client import HTTPConnection, HTTPException

        connection = HTTPConnection(self.host, self.port, timeout=self.patience)
        try:
            connection.putrequest(method, path, skip_accept_encoding=True)
            for name, value in ({"Content-Length": str(len(body))} | (headers or {})).items():
                connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            content = answer.read()
        except TimeoutError:
            raise SystemExit(f"the service hangs: {method} {path}, {keep(body)}") from None
        except (HTTPException, ConnectionError, ValueError):  # it has hung up, or nothing could be sent
            self.answers[0] += 1
            return 0, b""
        finally:
            connection.close()
        self.answers[answer.status] += 1
        if answer.status >= 500 and answer.status != 503:
            self.log.flush()
            raise SystemExit(f"{answer.status} for {method} {path}, {keep(body)}: {content[:300]!r}; {self.trace()}")
        return answer.status, content

    def trace(self) -> str:
        self.log.seek(0)
        return self.log.read()[-3000:]

    def check(self, after: str) -> None:
        """It lives, answers and has not grown."""
        if self.process.poll() is not None:
            raise SystemExit(f"the service crashed after {after}: {self.process.returncode}; {self.trace()}")
        status, _ = self.ask("GET", "/api/health")
        grown = self.memory() - self.before
        if status != 200 or grown > BOUND_MIB:
            raise SystemExit(f"after {after} the service answers {status} and has grown by {grown:.0f} MiB")

    def counted(self) -> dict[str, Any]:
        """Answers since the last time, by status; 0 where it hung up."""
        found = {"answers": {str(status): n for status, n in sorted(self.answers.items())}}
        self.answers.clear()
        return found


def form(data: bytes, field: str = "image") -> tuple[bytes, dict[str, str]]:
    """A multipart form with a file."""
    head = f'--b0undary\r\nContent-Disposition: form-data; name="{field}"; filename="a"\r\n\r\n'.encode()
    return head + data + b"\r\n--b0undary--\r\n", {"Content-Type": "multipart/form-data; boundary=b0undary"}


def uploads(service: Service, files: list[bytes], arguments: argparse.Namespace) -> dict[str, Any]:
    """Mutated images, and now and then a mutated form around them."""
    rng = random.Random(arguments.seed + 1)
    memory: list[float] = []
    for number in range(arguments.images):
        body, headers = form(mutated(files, rng))
        if number % 10 == 0:
            body = mutated([body], rng)
        path = rng.choice(("/api/search", "/api/search?k=3&radius=20", "/api/search?rerank=logits"))
        service.ask("POST", path, body, headers)
        if number % 1000 == 999:
            service.check(f"upload {number}")
            memory.append(service.memory())
    return service.counted() | {"rss_mib_by_thousand": memory}


def made_up(service: Service, files: list[bytes], arguments: argparse.Namespace) -> dict[str, Any]:
    """Requests from the OpenAPI description, and what mutation makes of them."""
    import schemathesis
    from hypothesis import HealthCheck, Phase, given, seed, settings

    logging.getLogger("hypothesis").setLevel(logging.ERROR)
    schema = schemathesis.openapi.from_url(f"{service.address}/api/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations()]
    rng = random.Random(arguments.seed + 2)
    each = -(-arguments.requests // (2 * len(operations)))  # each is sent as it is, and mutated
    sent: list[tuple[str, str, bytes]] = []

    def again(method: str, path: str, body: bytes) -> None:
        method = rng.choice(("GET", "POST", "DELETE", "PUT", "HEAD", "OPTIONS", "PATCH", method, method, method))
        service.ask(method, spoiled(path, rng), mutated([body or b"{}"], rng), odd_headers(rng))

    for operation in operations:

        @seed(arguments.seed)
        @settings(
            max_examples=each, deadline=None, database=None, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(case=operation.as_strategy())
        def send(case: Any) -> None:
            request = case.as_transport_kwargs(base_url=service.address)
            path, headers = address_of(case, request)
            headers["Authorization"] = f"Bearer {TOKEN}" if rng.random() < 0.7 else rng.choice(ODD)
            body, kind = form(mutated(files, rng)) if case.method == "POST" else (b"", {})
            service.ask(case.method.upper(), path, body, headers | kind)
            sent.append((case.method.upper(), path, body))
            again(*sent[-1])

        send()
    while service.answers.total() < arguments.requests:  # some routes have no parameters to vary
        again(*rng.choice(sent))
    return service.counted()


ODD = ("", "Bearer", "Bearer \xff", "Basic YTpi", "Bearer " + "a" * 5000)
PIECES = (
    "../", "..%2f", "%00", "%ff", "%c0%af", "'", '"', "<script>", "%0d%0aX:%20y", "{}", "9" * 40, "-1", "1e9", "NaN",
    "\\", ";", "?", "&", "#", "%", "//", "%e2%80%ae", "a" * 3000, "code=", "k=0x10", "label=%00", "radius=",
)  # fmt: skip


def address_of(case: Any, request: dict[str, Any]) -> tuple[str, dict[str, str]]:
    """Path with query, as it goes over the wire."""
    import requests

    prepared = requests.Request("GET", request["url"], params=request.get("params")).prepare()
    return (prepared.path_url or "/").replace(" ", "%20"), {}


def spoiled(path: str, rng: random.Random) -> str:
    """A path with something put into it, still one line of ASCII."""
    for _ in range(rng.randrange(1, 4)):
        place = rng.randrange(1, len(path) + 1)
        path = path[:place] + rng.choice(PIECES) + path[place + rng.randrange(3) :]
    return "".join(letter if " " < letter < "\x7f" else "%20" for letter in path)


def odd_headers(rng: random.Random) -> dict[str, str]:
    """Headers that mean something, with values that do not."""
    some = {
        "Host": rng.choice(("127.0.0.1", "localhost", "evil.example", "[::1", "")),
        "Origin": rng.choice(("null", "http://127.0.0.1", "file://", "\xff")),
        "Sec-Fetch-Site": rng.choice(("same-origin", "none", "cross-site", "x")),
        "Content-Type": rng.choice(
            ("multipart/form-data", "multipart/form-data; boundary=", "application/json", "\xff/;")
        ),
        "Range": rng.choice(("bytes=0-", "bytes=-1,-2,-3", "lines=1")),
        "If-None-Match": rng.choice(("*", '"', "W/" * 500)),
        "Authorization": rng.choice(ODD),
    }
    return {
        name: value for name, value in some.items() if rng.random() < 0.3 and (name != "Host" or rng.random() < 0.1)
    }


def raw(service: Service, files: list[bytes], arguments: argparse.Namespace) -> dict[str, Any]:
    """Bytes on the socket: mutated requests, pieces of files, nothing; half of them are left without an end."""
    rng = random.Random(arguments.seed + 3)
    body, headers = form(files[5])
    host = f"Host: {service.host}:{service.port}\r\n"
    upload = f"POST /api/search HTTP/1.1\r\n{host}Content-Type: {headers['Content-Type']}\r\n"
    sound = [
        f"GET /api/items HTTP/1.1\r\n{host}\r\n".encode() * 3,
        f"GET /api/search?code={'0' * 18}&k=3 HTTP/1.1\r\n{host}Connection: close\r\n\r\n".encode(),
        f"{upload}Content-Length: {len(body)}\r\n\r\n".encode() + body,
        f"{upload}Transfer-Encoding: chunked\r\n\r\n{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n",
        files[0],
    ]
    statuses: Counter[str] = Counter()
    for _ in range(arguments.raw):
        data = mutated(sound, rng)
        try:
            with socket.create_connection((service.host, service.port), timeout=service.patience) as connection:
                connection.sendall(data)
                if rng.random() < 0.5:
                    connection.shutdown(socket.SHUT_WR)
                else:
                    connection.settimeout(0.05)  # whoever waits for more than that goes away
                answer = connection.recv(1 << 16)
        except TimeoutError:
            answer = b""
        except ConnectionError:
            answer = b"HTTP/1.1 closed"
        status = answer[9:12].decode("latin-1") or "none"
        statuses[status] += 1
        if status.startswith("5") and status != "503":
            raise SystemExit(f"{status} for raw bytes, {keep(data)}; {service.trace()}")
    return service.counted() | {"first_status": dict(sorted(statuses.items()))}


if __name__ == "__main__":
    os.chdir(Path(__file__).parents[1])
    sys.path.insert(0, str(Path.cwd()))
    main()
