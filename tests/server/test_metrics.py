"""What is counted and logged: by route, not by what clients make up, and never what they keep to themselves."""

import io
import json
import logging

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bitseek.server._logging import JsonLines, log, start_logging


def samples(client):
    text = client.get("/metrics").text
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_requests_are_counted_by_route_and_status(client):
    for path in (
        "/api/items/1",
        "/api/items/2",
        "/api/items/99",
        "/api/nothing/3",
        "/static/../x",
        "/api/items/1/image",
    ):
        client.get(path)
    client.get("/api/search", params={"code": "0" * 18})
    client.get("/api/search", params={"code": "zz"})
    client.request("BREW", "/api/items/1")
    counted = {
        (labels["route"], labels["method"], labels["status"]): value
        for (name, pairs), value in samples(client).items()
        if name == "bitseek_requests_total"
        for labels in [dict(pairs)]
    }
    assert counted[("/api/items/{number}", "GET", "200")] == 2
    assert counted[("/api/items/{number}", "GET", "404")] == 1
    assert counted[("/api/search", "GET", "200")] == 1 and counted[("/api/search", "GET", "422")] == 1
    assert counted[("none", "GET", "404")] >= 1
    assert not any("nothing" in route or "99" in route for route, _, _ in counted)


def test_batches_items_and_updates_are_told(client, collection):
    client.get("/api/search", params={"code": "0" * 18})
    found = samples(client)
    assert found[("bitseek_batch_queries_count", ())] >= 1
    assert found[("bitseek_items", ())] == 24
    assert found[("bitseek_generation", ())] == collection.generation


def test_a_log_line_cannot_be_forged():
    line = JsonLines().format(
        logging.LogRecord("bitseek", logging.WARNING, "", 0, 'a\n{"event": "stop"}\u2028\x1b[2J', None, None)
    )
    assert "\n" not in line and "\x1b" not in line and line.isascii()
    assert json.loads(line)["event"].startswith("a\n{")


@pytest.fixture
def events():
    names = ("bitseek", "uvicorn.error", "uvicorn.access")
    loggers = [logging.getLogger(name) for name in names]
    before = [(logger.handlers[:], logger.level, logger.propagate) for logger in loggers]
    stream = io.StringIO()
    start_logging(stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    for logger, (handlers, level, propagate) in zip(loggers, before, strict=True):
        logger.handlers[:], logger.propagate = handlers, propagate
        logger.setLevel(level)


def test_refused_requests_are_logged_without_what_was_asked(client, events):
    client.get("/api/search?code=5ec7e7&label=private", headers={"Authorization": "Bearer hidden-hidden-hidden"})
    client.post("/api/search", files={"image": b"hidden picture"})
    (first, second) = [event for event in events() if event["event"] == "request"]
    assert (first["path"], first["status"], second["status"]) == ("/api/search", 422, 415)
    assert not any(secret in str(events()) for secret in ("5ec7e7", "private", "hidden"))


def test_an_error_within_the_service_is_a_sentence_and_a_trace_in_the_log(client, collection, events, monkeypatch):
    def fail(*args, **options):
        raise ZeroDivisionError("of the test")

    monkeypatch.setattr(collection, "search", fail)
    answer = client.get("/api/search", params={"code": "0" * 18})
    assert answer.status_code == 500 and "ZeroDivision" not in answer.text
    (event,) = [event for event in events() if event.get("status") == 500]
    assert event["level"] == "error" and "ZeroDivisionError: of the test" in event["error"]


def test_an_event_holds_its_fields(events):
    log("update", items=3)
    (event,) = events()
    assert (event["event"], event["items"], event["level"]) == ("update", 3, "info")
