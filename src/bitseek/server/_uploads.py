"""An image out of a multipart form, in memory: nothing of an upload touches the disk.

Starlette's own form parser writes files above a megabyte to a temporary file, so this one uses its parser alone.
"""

import asyncio
from contextlib import suppress

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from bitseek.server._limits import Budget
from bitseek.server._refusal import Refusal

FIELD = "image"
_ENVELOPE = 64 * 1024
"""Bytes of a form that are not the image: boundaries, headers, other fields."""
_MOST_PARTS = 16
_MOST_HEADER = 8 * 1024

_FORM = "send the image as multipart/form-data in a field named 'image'"


async def uploaded_image(request: Request, budget: Budget, *, max_bytes: int, timeout: float) -> bytes:
    """The bytes of the field `image`.

    Raises:
        Refusal: 400 for a damaged form, 413 for too large a one, 415 for no form, 422 for none or two images,
            408 if it does not come in time, 503 if all uploads together are too large.
    """
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data":
        raise Refusal(415, f"this is no form; {_FORM}")
    if not 0 < len(boundary) <= 256:
        raise Refusal(400, f"the form has no boundary, or one of more than 256 characters; {_FORM}")
    most = max_bytes + _ENVELOPE
    form = _Form(max_bytes)
    received = 0
    length = request.headers.get("content-length", "")
    try:
        if length.isdecimal() and int(length) > most:
            raise _too_large(max_bytes)
        parser = MultipartParser(boundary, form.callbacks(), max_size=most)  # type: ignore[arg-type]
        with budget.hold() as take:
            async with asyncio.timeout(timeout):
                async for chunk in request.stream():
                    received += len(chunk)
                    if received > most:
                        raise _too_large(max_bytes)
                    take(len(chunk))
                    parser.write(chunk)
            parser.finalize()
    except FormParserError as error:
        raise Refusal(400, f"the form is damaged; {_FORM}") from error
    except TimeoutError as error:
        raise Refusal(408, f"the image did not come within {timeout:g} s") from error
    except ClientDisconnect as error:
        raise Refusal(400, "the client went away before the image was here") from error
    except Refusal:
        await _drop(request, 4 * most, timeout)
        raise
    return form.image()


async def _drop(request: Request, most: int, timeout: float) -> None:
    """Read on for a while: a client that is cut off while it sends never sees why."""
    with suppress(TimeoutError, ClientDisconnect, RuntimeError):
        async with asyncio.timeout(timeout):
            async for chunk in request.stream():
                most -= len(chunk)
                if most < 0:
                    return


def _too_large(max_bytes: int) -> Refusal:
    return Refusal(413, f"an image file may have {max_bytes} bytes here; send a smaller one")


class _Form:
    """What the parser calls: keeps the bytes of the one field that is wanted, and drops those of others."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._images: list[bytearray] = []
        self._parts = 0
        self._ended = False
        self._wanted = False
        self._name = bytearray()
        self._value = bytearray()
        self._field = b""

    def callbacks(self) -> dict[str, object]:
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._header_name,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": self._data,
            "on_end": self._end,
        }

    def image(self) -> bytes:
        if not self._ended:
            raise Refusal(400, f"the form is cut off; {_FORM}")
        if len(self._images) != 1:
            raise Refusal(422, f"one image is expected, got {len(self._images)}; {_FORM}")
        if not self._images[0]:
            raise Refusal(422, "the image is empty (0 bytes)")
        return bytes(self._images[0])

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > _MOST_PARTS:
            raise Refusal(400, f"the form has more than {_MOST_PARTS} fields; {_FORM}")
        self._field = b""
        self._wanted = False

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._grow(self._name, data[start:end])

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._grow(self._value, data[start:end])

    def _grow(self, text: bytearray, more: bytes) -> None:
        text += more
        if len(text) > _MOST_HEADER:
            raise Refusal(400, f"a header of the form has more than {_MOST_HEADER} bytes; {_FORM}")

    def _header_end(self) -> None:
        if bytes(self._name).lower() == b"content-disposition":
            self._field = parse_options_header(bytes(self._value))[1].get(b"name", b"")
        self._name.clear()
        self._value.clear()

    def _headers_finished(self) -> None:
        self._wanted = self._field == FIELD.encode()
        if self._wanted:
            self._images.append(bytearray())

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._wanted:
            image = self._images[-1]
            image += memoryview(data)[start:end]
            if len(image) > self._max_bytes:
                raise _too_large(self._max_bytes)

    def _end(self) -> None:
        self._ended = True
