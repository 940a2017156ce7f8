"""HTTP on a socket, with an end to patience: a request's head must come in time and may not be endless.

uvicorn bounds neither: a client that sends a header a minute holds a connection for ever, and one that never ends its
headers fills the memory. Nor does it bound what comes of a body after the answer, which nobody reads.
"""

from asyncio import TimerHandle, Transport

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_HEAD = 64 * 1024
"""Bytes of a request's first line and headers."""


class PatientProtocol(HttpToolsProtocol):
    """uvicorn's protocol with a limit on the head of a request, in bytes and in seconds (`timeout_keep_alive`).

    A body that was answered before it had come gets as many seconds for its rest.
    """

    _in_body = False
    _head = 0
    """Bytes that have come and do not end a head yet; a few too few, if they came with the end of another request."""
    _timer: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._rest()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if not self._in_body:
            self._head += len(data)
        super().data_received(data)
        if self._in_body or not self._head or self.transport.is_closing():
            return
        if self._head > MOST_HEAD:
            self.send_400_response("The head of the request is too large.")
        elif self._timer is None:
            self._wait()

    def on_message_begin(self) -> None:
        self._head += 1
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_body = True
        self._head = 0
        self._rest()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_body = False
        super().on_message_complete()
        if self._is_answered():
            self._wait()  # for the next head: the data have ended uvicorn's own wait

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._in_body and self._is_answered() and not self.transport.is_closing():
            self._wait()

    def _is_answered(self) -> bool:
        """Whether the newest request is; of several in a pipeline, the answered one may be an older one."""
        return self.cycle is not None and self.cycle.response_complete

    def _wait(self) -> None:
        self._rest()
        self._timer = self.loop.call_later(self.timeout_keep_alive, self._give_up)

    def _rest(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()
