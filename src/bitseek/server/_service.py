"""One process's part of the service: the collection, the threads that work on it, and what they may hold."""

import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from bitseek.codes import Codes, words_per_code
from bitseek.collection import Collection, Encoder, Item
from bitseek.errors import BitseekError, LabelError
from bitseek.server._answers import result_answer
from bitseek.server._batching import Gatherer
from bitseek.server._limits import Budget, Rates
from bitseek.server._loading import Loading
from bitseek.server._logging import log
from bitseek.server._map_maker import MapMaker
from bitseek.server._metrics import Metrics
from bitseek.server._near_pairs import NearPairs
from bitseek.server._pictures import Picture, picture
from bitseek.server._queries import Search
from bitseek.server._refusal import Refusal, busy
from bitseek.server._settings import Settings
from bitseek.server._threads import Threads
from bitseek.server._writing import Writer

_REFRESH_SECONDS = 0.5
_FIRST = (1, 256, 256, 512)
"""Queries of the first searches, before a client asks: compiled loops are loaded where that pays."""
_UPLOADS_AT_ONCE = 4
"""Uploads of the largest size that may be held in memory."""


class _Kind(NamedTuple):
    k: int
    radius: int | None
    label: str | None


class Service:
    """What the routes call.

    Args:
        collection: what is served; closed by its owner.
        settings: of the owner.
        metrics: where is counted.
    """

    def __init__(self, collection: Collection, settings: Settings, metrics: Metrics) -> None:
        self.collection = collection
        self.settings = settings
        self.metrics = metrics
        self.rates = Rates(settings.rate, workers=settings.workers)
        self.uploads = Budget(max(_UPLOADS_AT_ONCE * settings.max_bytes, 64 * 2**20))
        processors = min(4, os.cpu_count() or 1)
        self.decoders = Threads("decode", threads=processors, waiting=64, timeout=settings.timeout)
        self.counts = Threads("count", threads=1, waiting=16, timeout=settings.timeout)
        self.changes = Threads("change", threads=1, waiting=16, timeout=settings.timeout)
        self.near_pairs = NearPairs(collection)
        self.map = MapMaker(collection)
        self.writer = Writer(collection, settings.add_to, self._encoder)
        self.model = Loading(self._warm_encoder)
        self._searches = Gatherer[_Kind, str, bytes](self._search_all, name="search", observe=metrics.batch)
        self._encodings = Gatherer[None, np.ndarray, np.ndarray](self._encode_all, name="encode", most=32, waiting=256)
        self._counted: dict[str, Any] | None = None
        self._stop = threading.Event()
        self._refresher = threading.Thread(target=self._refresh, name="refresh", daemon=True)

    def start(self) -> None:
        """Search a few times, which loads what a collection of this size needs; then begin to load the model."""
        code = np.zeros(words_per_code(self.collection.bits), np.uint64)
        for queries in _FIRST if self.collection.searches_here else ():
            self.collection.search(Codes(np.tile(code, (queries, 1)), self.collection.bits))
        self.metrics.collection(len(self.collection), self.collection.generation)
        self.model.start()
        self._refresher.start()

    def stop(self) -> None:
        """End the threads; searches that run are finished first."""
        self._stop.set()
        self._refresher.join()
        self.writer.stop()
        self.map.stop()
        self.decoders.close()
        self.counts.close()
        self.changes.close()
        self._searches.close()
        self._encodings.close()
        self.model.stop()

    # --- search -----------------------------------------------------------------------------------------------

    async def search_code(self, search: Search, code: str) -> bytes:
        """JSON of a `ResultAnswer` for a code in hexadecimal digits.

        Raises:
            Refusal: 422, another length; 503, too many wait.
        """
        return await self._searches.ask(_Kind(search.k, search.radius, search.label), self._code(code))

    async def search_image(self, search: Search, data: bytes, encoder: Encoder, rerank: str | None) -> bytes:
        """JSON of a `ResultAnswer` for the bytes of an image file, which are decoded here.

        Raises:
            Refusal: see `picture`; 422, no such features; 503, too many wait.
        """
        side = encoder.preprocess.min_side
        image = await self.decoders.run(partial(self.picture, data, min_side=side))
        square = await self.decoders.run(partial(encoder.preprocess.square, image.pixels))
        logits = await self._encodings.ask(None, square)
        code = Codes.from_logits(logits[None]).hex()[0]
        if rerank is None:
            return await self.search_code(search, code)
        return await self.decoders.run(partial(self._reranked, search, image.pixels, code, rerank))

    def picture(self, data: bytes, *, min_side: int | None = None) -> Picture:
        """An uploaded image, decoded within the limits of the owner."""
        return picture(data, max_pixels=self.settings.max_pixels, min_side=min_side)

    def _code(self, digits: str) -> str:
        bits = self.collection.bits
        padding = -bits % 4
        if len(digits) != -(-bits // 4) or (padding and int(digits[-1], 16) & ((1 << padding) - 1)):
            raise Refusal(
                422,
                f"codes of this collection have {bits} bits, which are {-(-bits // 4)} hexadecimal digits"
                + (f", the last {padding} bits of them 0" if padding else "")
                + f"; got {len(digits)} digits",
            )
        return digits.lower()

    def _search_all(self, kind: _Kind, digits: Sequence[str]) -> list[bytes]:
        """The answers to codes, by one scan."""
        collection = self.collection
        generation = collection.generation
        codes = Codes.from_hex(list(digits), collection.bits)
        found = self._found(codes, k=kind.k, radius=kind.radius, label=kind.label)
        return [
            result_answer(code, collection.bits, generation, hits, self._recall())
            for code, hits in zip(digits, found, strict=True)
        ]

    def _recall(self) -> float | None:
        recall = self.collection.recall
        return None if recall is None else float(recall.share)

    def _reranked(self, search: Search, pixels: np.ndarray, code: str, rerank: str) -> bytes:
        collection = self.collection
        generation = collection.generation
        hits = self._found(pixels, k=search.k, radius=search.radius, label=search.label, rerank=rerank)
        return result_answer(code, collection.bits, generation, hits, self._recall())

    def _found(self, query: Any, *, label: str | None, **options: Any) -> Any:
        """What the collection finds.

        Raises:
            Refusal: 422, no item has the label, or there are no features; 503, the collection cannot be read.
        """
        try:
            return self.collection.search(query, label=label, hasher=self._encoder, **options)
        except LabelError as error:
            raise Refusal(422, "no item has this label; /api/statistics lists those that there are") from error
        except BitseekError as error:
            if options.get("rerank") == "features":
                raise Refusal(422, "this collection keeps no features to re-rank by; take logits") from error
            log("search failed", error=error)
            raise busy("the collection cannot be searched now; the log of the service says why") from error

    def _warm_encoder(self) -> Encoder:
        """The encoder, after the runs that make what later ones only use: torch's first two take ten times as long."""
        encoder = self._encoder()
        side = encoder.preprocess.size
        for _ in range(2):
            encoder.logits_of(np.zeros((1, side, side, 3), np.uint8))
        return encoder

    def _encode_all(self, _: None, squares: Sequence[np.ndarray]) -> list[np.ndarray]:
        return list(self._encoder().logits_of(np.stack(squares)))

    def _encoder(self) -> Encoder:
        return self.collection.encoder(self.settings.device)

    # --- items ------------------------------------------------------------------------------------------------

    def item(self, number: int) -> Item:
        """An item by its id.

        Raises:
            Refusal: 404.
        """
        try:
            return self.collection.item(number)
        except BitseekError as error:
            raise Refusal(404, f"there is no item {number}") from error

    def items(self, numbers: Sequence[int]) -> list[Item]:
        """Items by their ids; those that are gone meanwhile are left out."""
        found = []
        for number in numbers:
            with suppress(BitseekError):
                found.append(self.collection.item(number))
        return found

    def statistics(self) -> dict[str, Any]:
        """The collection in numbers, counted once an update."""
        generation = self.collection.generation
        if self._counted is None or self._counted["generation"] != generation:
            self._counted = self.collection.statistics()
        return self._counted

    # --- updates ----------------------------------------------------------------------------------------------

    def _refresh(self) -> None:
        """Take over what other processes have published; searches that run keep what they have."""
        while not self._stop.wait(_REFRESH_SECONDS):
            try:
                if self.collection.refresh():
                    self.metrics.collection(len(self.collection), self.collection.generation)
                    log("update", items=len(self.collection), generation=self.collection.generation)
            except BitseekError as error:  # the disk is full, say; what is served stays as it is
                log("refresh failed", error=error)
