"""What a route may ask for: the service, and that the client has shown the token."""

import hmac
from typing import Annotated, cast

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from bitseek.server._refusal import Refusal
from bitseek.server._service import Service

_BEARER = HTTPBearer(auto_error=False, description="the token that the owner has set")


def _service(request: Request) -> Service:
    return cast(Service, request.app.state.service)


ServiceOf = Annotated[Service, Depends(_service)]
"""The service of the application."""


def writer(request: Request, shown: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)]) -> None:
    """Let pass who shows the owner's token, compared in constant time.

    Raises:
        Refusal: 403, the owner has set none; 401, none or another one was shown.
    """
    token = _service(request).settings.token
    if token is None:
        raise Refusal(403, "nothing can be changed here; the owner can allow it by a token")
    given = "" if shown is None else shown.credentials
    if not hmac.compare_digest(given.encode("latin-1", "replace"), token.get_secret_value().encode("ascii")):
        raise Refusal(401, "show the owner's token: Authorization: Bearer TOKEN", {"WWW-Authenticate": "Bearer"})
