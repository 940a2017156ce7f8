"""The page's files, read once from the package: a client's path is a key, never a place on the disk."""

import hashlib
from importlib import resources

from fastapi import APIRouter, Request
from starlette.responses import Response

from bitseek.server._refusal import Refusal

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}


def page_routes() -> APIRouter:
    """`/` and `/static/NAME`."""
    folder = resources.files("bitseek.server") / "static"
    files = {
        file.name: (file.read_bytes(), _TYPES[_ending(file.name)])
        for file in (folder.iterdir() if folder.is_dir() else ())
        if _ending(file.name) in _TYPES
    }
    tags = {name: f'"{hashlib.blake2b(content, digest_size=12).hexdigest()}"' for name, (content, _) in files.items()}
    routes = APIRouter(include_in_schema=False)

    def answer(name: str, request: Request) -> Response:
        if name not in files:
            raise Refusal(404, "there is no such file of the page")
        content, kind = files[name]
        headers = {"ETag": tags[name], "Cache-Control": "no-cache"}  # asked for again, but sent only if it changed
        if request.headers.get("if-none-match") == tags[name]:
            return Response(status_code=304, headers=headers)
        return Response(content, media_type=kind, headers=headers)

    @routes.api_route("/", methods=["GET", "HEAD"])
    async def page(request: Request) -> Response:
        return answer("index.html", request)

    @routes.api_route("/static/{name}", methods=["GET", "HEAD"])
    async def file(name: str, request: Request) -> Response:
        return answer(name, request)

    return routes


def _ending(name: str) -> str:
    return name[name.rfind(".") :]
