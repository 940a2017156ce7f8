"""Addresses of collections in PostgreSQL: what they say, and that no password is shown."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'bitseek[engines]'")

from bitseek.engines import connect, without_password
from bitseek.engines._postgres_address import EFFORT, parse
from bitseek.errors import BitseekError


def test_words_of_an_address():
    read = parse("postgresql://me@host:5433/db?collection=my+photos&search=hnsw&effort=40&sslmode=require&host=/a%20b")
    assert (read.collection, read.approximate, read.effort) == ("my photos", True, 40)
    assert read.conninfo == "postgresql://me@host:5433/db?sslmode=require&host=/a%20b"
    plain = parse("postgresql://host/db")
    assert (plain.collection, plain.approximate, plain.effort) == ("bitseek", False, EFFORT)
    assert plain.conninfo == "postgresql://host/db"


@pytest.mark.parametrize(
    "wrong",
    [
        "collection=",
        "collection=pg_mine",
        "collection=" + "ä" * 32,
        "search=fast",
        "effort=0",
        "effort=1001",
        "effort=x",
    ],
)
def test_words_without_meaning(wrong):
    with pytest.raises(BitseekError, match=wrong.partition("=")[0]):
        parse(f"postgresql://me:secret@host/db?{wrong}")


@given(
    st.text("abc:/@?&=%#é ", min_size=1).map(lambda text: f"S3cret{text}S3cret"),
    st.booleans(),
    st.sampled_from(["", "?collection=a", "?sslmode=require&collection=a"]),
)
def test_no_password_is_shown(password, escaped, query):
    """However it is written in the address, in what is shown and in what is said."""
    secret = quote(password, safe="") if escaped else password.replace("?", "").replace("#", "")
    address = f"postgresql://me:{secret}@host/db{query}"
    assert "S3cret" not in without_password(address) and without_password(address).startswith("postgresql://me@host/db")
    option = f"postgresql://me@host/db?collection=a&password={quote(password, safe='')}&sslmode=require"
    assert without_password(option) == "postgresql://me@host/db?collection=a&sslmode=require"
    for made in (address, option):
        assert "S3cret" not in parse(made).shown


def test_what_is_said_of_an_address_that_cannot_be_used():
    """By the client of PostgreSQL, whose own message would repeat it."""
    for address in (
        "postgresql://me:S3cret@host:port/db",
        "postgresql://me:S3cret@[host/db",
        "postgres://a:S3cret@b/c",
    ):
        with pytest.raises(BitseekError) as raised:
            connect(address)
        assert "S3cret" not in str(raised.value)
