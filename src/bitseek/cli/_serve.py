"""The command that answers over HTTP: serve."""

import sys
from pathlib import Path
from typing import Any

from bitseek.cli._arguments import Flag, Json
from bitseek.cli._console import show
from bitseek.errors import BitseekError


def serve(
    collection: str,
    /,
    *,
    host: str | None = None,
    port: int | None = None,
    workers: int | None = None,
    token_file: Path | None = None,
    add_to: Path | None = None,
    max_bytes: int | None = None,
    max_pixels: int | None = None,
    timeout: float | None = None,
    rate: float | None = None,
    allow_host: tuple[str, ...] = (),
    device: str | None = None,
    log_requests: Flag = False,
    json: Json = False,
) -> None:
    """Serve a collection over HTTP: its page, an API (its OpenAPI description is /api/openapi.json), metrics.

    Only this machine can connect, unless --host says otherwise. Nothing can be changed through it without a token.
    Ctrl-C ends it after the requests that it is answering.

    Example: `bitseek serve my-photos --port 8765`

    Args:
        collection: folder of the collection, or an address: postgresql://…, ray://….
        host: address to listen to; 127.0.0.1 by default, 0.0.0.0 for the whole network.
        port: to listen to; 8765 by default, 0 for a free one.
        workers: processes that answer; they share the mapped codes.
        token_file: file with the token that allows to add and remove images and to update.
        add_to: folder that added images are written to.
        max_bytes: largest upload.
        max_pixels: largest picture that is decoded.
        timeout: seconds that a request may take.
        rate: requests a second from one address.
        allow_host: further names by which browsers may call it.
        device: where images are encoded and the codes of a folder are compared: cpu (by default), cuda, cuda:1, mps or
            auto, which takes a GPU for what can use it. A model in ONNX is run on the CPU.
        log_requests: log every request, not only what was slow or failed.
    """
    if add_to is not None and not add_to.expanduser().is_dir():
        raise BitseekError(f"--add-to: there is no folder {add_to}; make it, or name another one")
    values: dict[str, Any] = {
        "host": host,
        "port": port,
        "workers": workers,
        "token": token_in(token_file),
        "add_to": add_to,
        "max_bytes": max_bytes,
        "max_pixels": max_pixels,
        "timeout": timeout,
        "rate": rate,
        "allowed_hosts": allow_host or None,
        "device": device,
        "log_requests": log_requests,
    }
    from bitseek.engines import without_password
    from bitseek.server import Settings
    from bitseek.server import serve as serve_collection

    settings = Settings(**{name: value for name, value in values.items() if value is not None})

    def announce(address: str) -> None:
        show({"collection": without_password(collection), "address": address}, f"{address}  (Ctrl-C ends it)", json)
        sys.stdout.flush()

    serve_collection(collection, settings, announce=announce)


def token_in(file: Path | None) -> str | None:
    """The token in a file: its one line.

    Raises:
        BitseekError: the file cannot be read, or holds something else.
    """
    if file is None:
        return None
    from bitseek._files import parse

    lines = parse(file, "a file with one line, the token", lambda path: path.read_text(encoding="utf-8")).splitlines()
    if len(lines) != 1 or not lines[0].strip():
        raise BitseekError(
            f"{file} has {len(lines)} lines; a token file has one, the token. Make one with: "
            "python -c 'import secrets; print(secrets.token_urlsafe())' > FILE"
        )
    return lines[0].strip()
