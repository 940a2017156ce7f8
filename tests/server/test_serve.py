"""The service in processes of its own: it starts, shares a port, follows updates, refuses nonsense, ends well."""

import json
import signal
import socket
import threading
import time
from contextlib import contextmanager
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from tests.server.conftest import drawn, indexed
from tests.server.harness import TOKEN, draw, served

from bitseek.collection import Collection
from bitseek.errors import BitseekError
from bitseek.server import Settings, serve


def get(address, path, **headers):
    with urlopen(Request(address + path, headers=headers), timeout=60) as answer:
        return json.load(answer)


def until(what, seconds=120):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if what():
            return
        time.sleep(0.05)
    raise AssertionError("it did not happen in time")


def lines(tmp_path):
    return [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]


def test_a_service_answers_and_ends_well(folder, tmp_path):
    with served(folder, tmp_path, log_requests=True, token=TOKEN) as (address, process):
        assert get(address, "/api/health")["items"] == 24
        with pytest.raises(HTTPError):
            get(address, "/api/search?code=5ec7e7", Authorization=f"Bearer {TOKEN}")
    assert process.returncode == 0
    events = lines(tmp_path)
    assert {"start", "request", "stop"} <= {event["event"] for event in events}
    assert all({"time", "level", "event"} <= event.keys() for event in events)
    asked = [event for event in events if event["event"] == "request"]
    assert [(event["path"], event["status"]) for event in asked] == [("/api/health", 200), ("/api/search", 422)]
    text = (tmp_path / "log.jsonl").read_text()
    assert TOKEN not in text and "5ec7e7" not in text  # neither secrets nor what somebody looks for


@contextmanager
def upload(address, length):
    """(connection, answer) of a search by a picture, whose body of so many bytes the service is waiting for."""
    get(address, "/api/health")
    host, port = address.removeprefix("http://").split(":")
    head = (
        f"POST /api/search?k=1 HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        f"Expect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
    )
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(head.encode())
        answer = connection.makefile("rb")
        assert answer.readline().startswith(b"HTTP/1.1 100") and answer.readline() == b"\r\n"  # it reads the body
        yield connection, answer


def test_ctrl_c_again_waits_for_no_request_and_shows_no_traceback(folder, tmp_path):
    with served(folder, tmp_path) as (address, process), upload(address, 1000):
        process.send_signal(signal.SIGINT)
        until(lambda: any("Waiting for connections" in event["event"] for event in lines(tmp_path)))
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    assert lines(tmp_path)[-1]["event"] == "stop"
    assert [event for event in lines(tmp_path) if event["level"] == "error"] == []


def test_a_request_that_is_being_answered_is_finished(folder, photos, tmp_path):
    """SIGTERM while an upload is on its way: it gets its answer, and then the service ends."""
    data = (photos / "cats" / "00.png").read_bytes()
    body = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n' + data + b"\r\n--b--\r\n"
    with served(folder, tmp_path) as (address, process):
        with upload(address, len(body)) as (connection, answer):
            connection.sendall(body[:50])
            process.send_signal(signal.SIGTERM)
            time.sleep(0.5)
            connection.sendall(body[50:])
            assert answer.readline().startswith(b"HTTP/1.1 200")
        assert process.wait(120) == 0


def test_workers_share_a_port_and_all_see_an_update(folder, photos, hasher, tmp_path):
    """No request is refused or dropped while another process publishes an update, and each worker takes it over."""
    failed, seen, stop = [], {}, threading.Event()

    def ask(address):
        while not stop.is_set():
            try:
                health = get(address, "/api/health")
                seen.setdefault(health["items"], 0)
                seen[health["items"]] += 1
            except Exception as error:
                failed.append(error)

    with served(folder, tmp_path, workers=2, rate=None) as (address, process):
        get(address, "/api/health")
        threads = [threading.Thread(target=ask, args=(address,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        until(lambda: 24 in seen)
        draw(photos / "cats" / "new.png", 91)
        with Collection.open(folder) as other:
            other.update(hasher=hasher)
        until(lambda: seen.get(25, 0) > 50)
        until(lambda: {get(address, "/api/health")["items"] for _ in range(40)} == {25})  # of both workers, by chance
        stop.set()
        for thread in threads:
            thread.join()
        with urlopen(f"{address}/metrics", timeout=60) as answer:
            metrics = answer.read().decode()
    assert not failed and set(seen) == {24, 25}
    pids = {event["pid"] for event in lines(tmp_path) if event["event"] == "worker"}
    assert len(pids) == 2 and process.returncode == 0
    counted = sum(
        float(line.split()[-1])
        for line in metrics.splitlines()
        if line.startswith("bitseek_requests_total") and 'route="/api/health"' in line
    )
    assert counted >= sum(seen.values())  # of all workers, though one has answered


def test_a_taken_port_is_a_sentence(folder):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(BitseekError, match="is taken by another program"):
            serve(folder, Settings(port=taken.getsockname()[1]))


def test_an_address_of_another_machine_is_a_sentence(folder):
    with pytest.raises(BitseekError, match="no address of this machine"):
        serve(folder, Settings(host="192.0.2.7", port=0))
    with pytest.raises(BitseekError, match="there is no address"):
        serve(folder, Settings(host="no such name", port=0))


def test_what_is_no_collection_is_a_sentence(tmp_path):
    with pytest.raises(BitseekError, match="is not a collection"):
        serve(tmp_path, Settings(port=0))


@pytest.fixture(scope="module")
def strict(tmp_path_factory, hasher):
    """The address of a service with a patience of a second."""
    place = tmp_path_factory.mktemp("strict")
    with served(indexed(place, drawn(place), hasher), place, timeout=1.0, rate=None) as (address, _):
        yield address


@pytest.fixture
def raw(strict):
    """Sends bytes to it, and gives what comes back until the end; it is well before and after."""
    assert get(strict, "/api/health")["status"] == "ok"
    host, port = strict.removeprefix("http://").split(":")

    def send(*pieces, pause=0.0):
        with socket.create_connection((host, int(port)), timeout=120) as connection:
            received = b""
            try:
                for piece in pieces:
                    connection.sendall(piece.replace(b"HOST", f"{host}:{port}".encode()))
                    time.sleep(pause)
                while chunk := connection.recv(65536):
                    received += chunk
            except ConnectionError:
                pass
            return received

    yield send
    assert get(strict, "/api/health")["status"] == "ok"


def test_a_head_that_never_ends_is_cut_off(raw):
    """By its size, and by its time: one byte a moment holds no connection."""
    long = raw(b"GET / HTTP/1.1\r\nHost: HOST\r\n", *[b"X: " + b"a" * 8000 + b"\r\n"] * 20, b"\r\n", pause=0.01)
    assert long == b"" or b" 400 " in long  # nothing, if the answer came while the client was sending
    begin = time.monotonic()
    assert raw(b"GET / HTTP/1.1\r\n", *[b"A: b\r\n"] * 60, pause=0.1) == b""
    assert raw() == b"" and raw(b"\r\n\r\n", pause=0.1) == b""
    assert time.monotonic() - begin < 90


NO_REQUESTS = [
    b"\0" * 100,
    b"\x16\x03\x01\x02\x00\x01",  # TLS
    b"GET\r\n\r\n",
    b"GET /\xff\xfe HTTP/1.1\r\nHost: HOST\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: HOST\r\nContent-Length: -5\r\n\r\n",
    b"POST /api/search HTTP/1.1\r\nHost: HOST\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"CONNECT evil.example:80 HTTP/1.1\r\nHost: HOST\r\n\r\n",
]


def test_bytes_that_are_no_request_are_refused(raw):
    for piece in NO_REQUESTS:
        answer = raw(piece)
        assert answer == b"" or answer.split(b" ", 2)[1].startswith(b"4"), (piece, answer)


def test_an_upload_that_never_ends_is_refused(raw):
    head = b"POST /api/search HTTP/1.1\r\nHost: HOST\r\nContent-Type: multipart/form-data; boundary=b\r\n"
    slow = raw(head + b"Content-Length: 100000\r\n\r\n--b\r\n", b"Content-Dispo", pause=0.1)
    assert b" 408 " in slow
    large = raw(head + b"Content-Length: 9999999999\r\n\r\n", b"a" * 1000)
    assert b" 413 " in large and b"connection: close" in large
    chunked = raw(head + b"Transfer-Encoding: chunked\r\n\r\n", *[b"fffff\r\n" + b"a" * 0xFFFFF + b"\r\n"] * 24)
    assert chunked == b"" or b" 413 " in chunked or b" 400 " in chunked


def test_a_body_that_nobody_reads_holds_no_connection(raw):
    """The answer is sent at once; the rest of the body, a byte a moment, is not waited for."""
    head = b"GET /api/health HTTP/1.1\r\nHost: HOST\r\nContent-Length: %d\r\n\r\n"
    begin = time.monotonic()
    assert raw(head % 1_000_000, *[b"a"] * 1000, pause=0.1).count(b"HTTP/1.1 200") <= 1  # cut off while it is sent
    assert time.monotonic() - begin < 60
    begin = time.monotonic()
    assert raw(head % 3, *[b"a"] * 3, pause=0.1).count(b"HTTP/1.1 200") == 1  # whole, and then nothing more
    assert time.monotonic() - begin < 60
    twice = raw(head % 3, b"a", b"aa", head % 0, pause=0.2)
    assert twice.count(b"HTTP/1.1 200") == 2  # one that comes in time leaves the connection as it was
