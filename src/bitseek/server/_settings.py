"""What the owner of a service may decide, checked when it is given."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, SecretStr, field_validator

from bitseek._values import Value

_LEAST_TOKEN = 16


class Settings(Value):
    """How a collection is served.

    >>> Settings(port=8000).host
    '127.0.0.1'
    """

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    """Address that is listened to; by default this machine alone can connect."""
    port: Annotated[NonNegativeInt, Field(le=65535)] = 8765
    """Port; 0 takes a free one."""
    workers: Annotated[PositiveInt, Field(le=64)] = 1
    """Processes; they share the mapped codes."""
    token: SecretStr | None = None
    """What a client must show to add, remove or update; without one, nobody can. At least 16 characters."""
    add_to: Path | None = None
    """Folder that added images are written to; without one, none can be added."""
    max_bytes: PositiveInt = 20 * 2**20
    """Size of an uploaded image file."""
    max_pixels: PositiveInt = 50_000_000
    """Width times height of an uploaded image."""
    timeout: PositiveFloat = 20.0
    """Seconds that one request may take: its head, its body, its decoding and its search, each."""
    rate: PositiveFloat | None = 1000.0
    """Requests a second that one client may make, of all workers; an upload counts as ten. None: any number."""
    allowed_hosts: tuple[str, ...] = ()
    """Names, besides `localhost` and the address itself, by which browsers may call the service; `*` allows all."""
    device: Annotated[str, Field(min_length=1)] = "cpu"
    """Where images are encoded and the codes of a folder are compared: cpu, cuda, cuda:1, mps or auto."""
    log_requests: bool = False
    """Whether every request is logged; if not, only those that were refused, failed, or took more than a second."""

    @field_validator("token")
    @classmethod
    def _long_enough(cls, token: SecretStr | None) -> SecretStr | None:
        if token is not None:
            text = token.get_secret_value()
            if len(text) < _LEAST_TOKEN or not (text.isascii() and text.isprintable()) or " " in text:
                raise ValueError(
                    f"a token is {_LEAST_TOKEN} or more printable ASCII characters without spaces; "
                    "make one with: python -c 'import secrets; print(secrets.token_urlsafe())'"
                )
        return token

    @field_validator("add_to")
    @classmethod
    def _a_folder(cls, folder: Path | None) -> Path | None:
        if folder is not None and not folder.expanduser().is_dir():
            raise ValueError("there is no such folder; make it, or name another one")
        return None if folder is None else folder.expanduser().resolve()

    @field_validator("allowed_hosts")
    @classmethod
    def _names_only(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for host in hosts:
            port = host.count(":") == 1 and not host.startswith("[")
            if not host or port or "/" in host or "@" in host:
                raise ValueError("a host is a name or an address, without http://, port or path")
        return tuple(host.lower().strip("[]").rstrip(".") for host in hosts)
