"""Who may ask at all: no foreign names of this host, no pages of other sites; and what every answer tells the browser.

A page from anywhere can make its reader's browser send requests to 127.0.0.1. Three things stop it: the `Host` must be
a name of this service (else a foreign name that resolves to this address would make the page of the same origin), the
browser's `Sec-Fetch-Site` and `Origin` must say that the request comes from the service's own page, and the answers
forbid other sites to embed them.
"""

import ipaddress
import re

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bitseek.server._answers import problem
from bitseek.server._refusal import Refusal

_LOCAL = ("localhost", "127.0.0.1", "::1")
_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9_.-]+))(?::\d{1,5})?", re.ASCII)
_ANY_ADDRESS = ("0.0.0.0", "::", "")  # compared with, not listened to

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Of the page: nothing but its own files, its own API, and pictures that it was given."""
ANSWER_POLICY = "default-src 'none'; frame-ancestors 'none'; sandbox"
"""Of all else: should a browser take it for a document, that can do nothing."""

_COMMON = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
]
_PAGE = [
    *_COMMON,
    (b"content-security-policy", PAGE_POLICY.encode()),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=(), payment=(), usb=()"),
]
_ANSWER = [*_COMMON, (b"content-security-policy", ANSWER_POLICY.encode())]
_FRESH = (b"cache-control", b"no-store")


class Guard:
    """Refuses requests of foreign origin, and adds the headers to every answer.

    Args:
        app: what answers the others.
        host: the address that is listened to.
        allowed: further names; `*` for any.
    """

    def __init__(self, app: ASGIApp, *, host: str, allowed: tuple[str, ...] = ()) -> None:
        self._app = app
        own = () if host in _ANY_ADDRESS else (_plain(host),)
        self._names = frozenset((*_LOCAL, *own, *map(_plain, allowed)))
        self._any = "*" in allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = _ANSWER if _is_answer(scope["path"]) else _PAGE

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = message["headers"]
                fresh = any(name == b"cache-control" for name, _ in given)
                message["headers"] = [*given, *headers] if fresh else [*given, *headers, _FRESH]
            await send(message)

        try:
            self._check(scope)
        except Refusal as refusal:
            await problem(refusal)(scope, receive, send_guarded)
            return
        await self._app(scope, receive, send_guarded)

    def _check(self, scope: Scope) -> None:
        """Raises: Refusal."""
        host = origin = site = mode = None
        hosts = 0
        for name, value in scope["headers"]:
            if name == b"host":
                host, hosts = value, hosts + 1
            elif name == b"origin":
                origin = value
            elif name == b"sec-fetch-site":
                site = value
            elif name == b"sec-fetch-mode":
                mode = value
        if hosts != 1 or host is None or not self._is_own(host, scope):
            raise Refusal(
                400,
                "this service is not known by that name; if it should be, its owner can allow it (--allow-host)",
            )
        if origin is not None and origin.lower() not in (b"http://" + host.lower(), b"https://" + host.lower()):
            raise Refusal(403, "pages of other sites may not use this service")
        if site is not None and site not in (b"same-origin", b"none"):
            # A link on another site may lead to the page, but to nothing that it could read or change.
            arrives = mode == b"navigate" and scope["method"] in ("GET", "HEAD") and scope["path"] == "/"
            if not arrives:
                raise Refusal(403, "other sites may not use this service")

    def _is_own(self, host: bytes, scope: Scope) -> bool:
        found = _HOST.fullmatch(host.decode("latin-1").lower())
        if found is None:
            return False
        name = _plain(found[1] or found[2])
        server = scope.get("server")
        return self._any or name in self._names or (server is not None and _is_address(name) and name == server[0])


def _plain(name: str) -> str:
    return name.lower().strip("[]").rstrip(".")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_answer(path: str) -> bool:
    return path.startswith("/api") or path == "/metrics"
