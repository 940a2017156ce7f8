"""The address of a collection in PostgreSQL: libpq's URI, with a few words that are bitseek's own.

    postgresql://USER@HOST:PORT/DATABASE?collection=NAME&search=hnsw&effort=100

What else stands behind the question mark is libpq's (`host`, `sslmode`, `connect_timeout`, …). A password belongs in
`PGPASSWORD` or `~/.pgpass`; one that stands in the address is handed to libpq and shown nowhere.
"""

from typing import NamedTuple
from urllib.parse import parse_qsl, quote, urlencode

from bitseek.engines._address import without_password
from bitseek.errors import BitseekError

COLLECTION = "bitseek"
"""Name of a collection where the address has none."""

EFFORT = 100
"""Candidates of an approximate search where the address does not say how many."""

_MOST_EFFORT = 1000  # what pgvector allows
_LONGEST = 63  # bytes of a name in PostgreSQL


class PostgresAddress(NamedTuple):
    """Where a collection is, and how it is searched.

    Attributes:
        conninfo: for libpq; may hold a password.
        collection: name of the schema with its tables.
        approximate: whether searches go through the HNSW index.
        effort: candidates that such a search looks at, `hnsw.ef_search`.
        shown: the address as messages have it, without a password.
    """

    conninfo: str
    collection: str
    approximate: bool
    effort: int
    shown: str


def parse(address: str) -> PostgresAddress:
    """Read an address.

    Raises:
        BitseekError: it is none, or one of bitseek's words in it has no meaning. The message does not repeat it.
    """
    scheme, _, rest = address.partition("://")
    body, _, query = rest.partition("?")
    if scheme.lower() != "postgresql" or "\0" in address:
        raise BitseekError("an address is postgresql://USER@HOST/DATABASE?collection=NAME, got something else")
    values = parse_qsl(query, keep_blank_values=True)
    ours = {key: value for key, value in values if key in ("collection", "search", "effort")}
    libpq = [(key, value) for key, value in values if key not in ours]
    name, search = ours.get("collection", COLLECTION), ours.get("search", "exact")
    if not name or len(name.encode()) > _LONGEST or name.startswith("pg_"):
        raise BitseekError(
            f"the name of a collection has 1 to {_LONGEST} bytes and does not begin with pg_, got {name!r}"
        )
    if search not in ("exact", "hnsw"):
        raise BitseekError(f"an address says search=exact or search=hnsw, got search={search!r:.80}")
    effort = ours.get("effort", str(EFFORT))
    if not effort.isdecimal() or not 1 <= int(effort) <= _MOST_EFFORT:
        raise BitseekError(f"an address says effort=1 to effort={_MOST_EFFORT}, got effort={effort!r:.80}")
    return PostgresAddress(
        conninfo=f"postgresql://{body}?{urlencode(libpq, quote_via=quote, safe='/')}".removesuffix("?"),
        collection=name,
        approximate=search == "hnsw",
        effort=int(effort),
        shown=without_password(address),
    )
