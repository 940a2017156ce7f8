"""How much one client may ask for, and how many bytes of uploads are held at once."""

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from starlette.types import ASGIApp, Receive, Scope, Send

from bitseek.server._answers import problem
from bitseek.server._refusal import Refusal, busy

_BURST_SECONDS = 2.0
_MOST_CLIENTS = 10_000

COSTS = {"POST": 10.0, "DELETE": 10.0}
"""What a request takes from its client's bucket, by method; 1 for the others."""


class Rates:
    """A token bucket for each client: so many requests a second, and two seconds' worth of them at once.

    Clients are told apart by address, those of version 6 by their network of 64 bits, which one subscriber owns.

    Args:
        rate: tokens a second; None lets everything pass.
        clock: seconds that only grow.
        workers: processes that share the rate; each lets the same part of it pass, as they share connections.
    """

    def __init__(self, rate: float | None, clock: Callable[[], float] = time.monotonic, *, workers: int = 1) -> None:
        self._rate = None if rate is None else rate / workers
        self._burst = 0.0 if self._rate is None else max(self._rate * _BURST_SECONDS, *COSTS.values())
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str, cost: float = 1.0) -> None:
        """Let a request pass.

        Raises:
            Refusal: 429, with the seconds to wait.
        """
        if self._rate is None:
            return
        name = _network(client) if ":" in client else client
        now = self._clock()
        tokens, since = self._buckets.get(name, (self._burst, now))
        tokens = min(self._burst, tokens + (now - since) * self._rate)
        enough = tokens >= cost
        self._buckets[name] = (tokens - cost if enough else tokens, now)
        self._buckets.move_to_end(name)
        if len(self._buckets) > _MOST_CLIENTS:
            self._buckets.popitem(last=False)  # the one that has been quiet for longest
        if not enough:
            wait = max(1, round((cost - tokens) / self._rate))
            raise Refusal(429, f"too many requests; try again in {wait} s", {"Retry-After": str(wait)})


def _network(address: str) -> str:
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return address


class Rating:
    """Refuses what comes too fast from one client.

    Args:
        app: what answers.
        rates: the clients' buckets.
    """

    def __init__(self, app: ASGIApp, *, rates: Rates) -> None:
        self._app = app
        self._rates = rates

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            client = scope.get("client")
            try:
                self._rates.take(client[0] if client else "", COSTS.get(scope["method"], 1.0))
            except Refusal as refusal:
                await problem(refusal)(scope, receive, send)
                return
        await self._app(scope, receive, send)


class Budget:
    """Bytes that all uploads together may hold, so that many clients at once cannot fill the memory.

    A slow upload holds only what has come so far.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.held = 0

    @contextmanager
    def hold(self) -> Iterator[Callable[[int], None]]:
        """A function that takes so many bytes more, until the block ends.

        Raises:
            Refusal: 503, by that function: others hold too many.
        """
        mine = 0

        def take(size: int) -> None:
            nonlocal mine
            if self.held + size > self.most:
                raise busy("too many images are being uploaded at once; try again in a moment")
            self.held += size
            mine += size

        try:
            yield take
        finally:
            self.held -= mine
