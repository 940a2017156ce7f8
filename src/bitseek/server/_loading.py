"""The network that turns uploads into codes, loaded beside the service: for one of torch that takes many seconds."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from bitseek.collection import Encoder
from bitseek.server._logging import log
from bitseek.server._refusal import Refusal, busy

PATIENCE = 300.0
"""Seconds that a request waits for the network; no limit of a request's own time counts them."""


class Loading:
    """An encoder that is loaded in a thread as soon as the service starts, and waited for by who needs it.

    Args:
        load: gives the encoder, or raises.

    Attributes:
        then: called when that has ended, well or not.
    """

    def __init__(self, load: Callable[[], Encoder]) -> None:
        self.then: Callable[[], object] = lambda: None
        self._load = load
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="load")
        self._loaded: Future[Encoder | None] | None = None

    def start(self) -> None:
        """Begin to load."""
        self._loaded = self._thread.submit(self._try)

    def stop(self) -> None:
        """End the thread; a network that is being loaded is finished, for a process cannot end well amid that."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    async def encoder(self) -> Encoder:
        """The encoder, as soon as it is loaded.

        Raises:
            Refusal: 503, it cannot be loaded, or not within `PATIENCE`.
        """
        if self._loaded is None:
            raise busy("the service has not started yet; try again in a moment")
        try:
            async with asyncio.timeout(PATIENCE):  # shielded: one client that goes away must not cancel it for all
                encoder = await asyncio.shield(asyncio.wrap_future(self._loaded))
        except TimeoutError as error:
            raise busy(
                f"the model that encodes images was not loaded within {PATIENCE:g} s; try again, or search by a code"
            ) from error
        if encoder is None:
            raise Refusal(503, "the model that encodes images cannot be loaded; the log of the service says why")
        return encoder

    def _try(self) -> Encoder | None:
        try:
            return self._load()
        except Exception as error:  # in a thread nobody else would tell
            log("model not loaded", level=logging.ERROR, error=error)
            return None
        finally:
            self.then()
