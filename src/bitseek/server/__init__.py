"""The service of a collection: an HTTP API, and the page that uses it.

Settings    what the owner allows
create_app  the service of an open collection, as an ASGI application
serve       the service of a folder, until it is told to stop
"""

from bitseek.errors import MissingExtra

try:
    from bitseek.server._app import create_app
    from bitseek.server._serve import serve
    from bitseek.server._settings import Settings
except ImportError as error:
    if missing := MissingExtra.for_import(error):
        raise missing from error
    raise

__all__ = ["Settings", "create_app", "serve"]
