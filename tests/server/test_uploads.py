"""A form is read in memory, within its limits, whatever is wrong with it."""

import asyncio
import tempfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import Request

from bitseek.server._limits import Budget
from bitseek.server._refusal import Refusal
from bitseek.server._uploads import uploaded_image

BOUNDARY = b"----bitseek7d1f"
TYPE = b"multipart/form-data; boundary=" + BOUNDARY


def part(content, name=b"image", filename=b"a.png"):
    head = b'Content-Disposition: form-data; name="%s"; filename="%s"' % (name, filename)
    return b"--%s\r\n%s\r\nContent-Type: image/png\r\n\r\n%s\r\n" % (BOUNDARY, head, content)


def form(*parts):
    return b"".join(parts) + b"--%s--\r\n" % BOUNDARY


def read(body, *, kind=TYPE, chunk=1 << 16, max_bytes=1 << 20, budget=None, length=None, timeout=5.0):
    headers = [(b"content-type", kind)] + ([] if length is None else [(b"content-length", b"%d" % length)])
    chunks = [body[i : i + chunk] for i in range(0, len(body), chunk)] or [b""]
    messages = [
        {"type": "http.request", "body": piece, "more_body": i + 1 < len(chunks)} for i, piece in enumerate(chunks)
    ]

    async def receive():
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    request = Request({"type": "http", "method": "POST", "path": "/", "headers": headers}, receive)
    return asyncio.run(
        uploaded_image(request, Budget(1 << 30) if budget is None else budget, max_bytes=max_bytes, timeout=timeout)
    )


def status(*args, **options):
    with pytest.raises(Refusal) as refused:
        read(*args, **options)
    return refused.value.status


@pytest.mark.parametrize("chunk", [1, 7, 100_000])
def test_the_image_comes_out_as_it_went_in(chunk):
    content = bytes(range(256)) * 20 + b"\r\n--" + BOUNDARY[:-1]
    body = form(part(b"other", name=b"note"), part(content), part(b"x", name=b"more"))
    assert read(body, chunk=chunk) == content


def test_what_is_no_form_with_one_image_is_refused():
    assert status(b"{}", kind=b"application/json") == 415
    assert status(form(part(b"a")), kind=b"multipart/form-data") == 400
    assert status(form()) in (400, 422)
    assert status(form(part(b""))) == 422
    assert status(form(part(b"a"), part(b"b"))) == 422
    assert status(form(part(b"a", name=b"picture"))) == 422
    assert status(part(b"abc")) == 400  # cut off
    assert status(b"nothing of a form") == 400
    assert status(form(*[part(b"a", name=b"n")] * 40)) == 400
    assert status(b"--%s\r\n%s: a\r\n\r\nx\r\n" % (BOUNDARY, b"h" * 20_000)) == 400


def test_an_upload_is_refused_as_soon_as_it_is_too_large():
    assert len(read(form(part(b"a" * 1000)), max_bytes=1000)) == 1000
    assert status(form(part(b"a" * 1001)), max_bytes=1000) == 413
    assert status(b"", length=10**9, max_bytes=1000) == 413
    assert status(form(part(b"a" * 900_000, name=b"other")), max_bytes=1000) == 413


def test_uploads_together_hold_no_more_than_their_budget():
    budget = Budget(5000)
    assert status(form(part(b"a" * 9000)), budget=budget, chunk=1000) == 503
    assert budget.held == 0
    assert len(read(form(part(b"a" * 2000)), budget=budget)) == 2000 and budget.held == 0


def test_an_upload_that_does_not_come_in_time_is_refused():
    async def receive():
        await asyncio.sleep(30)

    scope = {"type": "http", "method": "POST", "path": "/", "headers": [(b"content-type", TYPE)]}
    with pytest.raises(Refusal) as refused:
        asyncio.run(uploaded_image(Request(scope, receive), Budget(1000), max_bytes=1000, timeout=0.05))
    assert refused.value.status == 408


def test_no_temporary_file_is_made_for_an_upload(monkeypatch):
    """Starlette's own parser writes what is above a megabyte to a temporary file."""

    def refuse(*args, **options):
        raise AssertionError("an upload must not touch the disk")

    for name in ("SpooledTemporaryFile", "TemporaryFile", "NamedTemporaryFile", "mkstemp"):
        monkeypatch.setattr(tempfile, name, refuse)
    monkeypatch.setattr("starlette.formparsers.SpooledTemporaryFile", refuse)
    content = b"a" * (5 << 20)
    assert read(form(part(content)), max_bytes=10 << 20) == content


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_mutated_form_is_read_or_refused(data):
    body = bytearray(form(part(b"pixels" * 20), part(b"x", name=b"y")))
    for _ in range(data.draw(st.integers(1, 8))):
        place = data.draw(st.integers(0, len(body) - 1))
        body[place : place + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    try:
        read(bytes(body), chunk=data.draw(st.sampled_from([1, 13, 4096])))
    except Refusal as refusal:
        assert refusal.status in (400, 413, 415, 422)
