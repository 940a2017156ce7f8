"""The one way in which the service says no: a status and a sentence, which never names a place of the server's disk."""

from collections.abc import Mapping


class Refusal(Exception):
    """A request that is not answered.

    Args:
        status: of HTTP, 400 … 503.
        sentence: what was given, what was expected, what to do.
        headers: to be sent with it.
    """

    def __init__(self, status: int, sentence: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.headers = dict(headers or {})


def busy(sentence: str) -> Refusal:
    """503: the client may try again in a second."""
    return Refusal(503, sentence, {"Retry-After": "1"})
