"""Files of items: there and back by every format, read by NumPy, pyarrow and faiss, and odd files refused."""

import json
import os
import subprocess
import sys
import zipfile
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.collection.projection import Projection

from bitseek.codes import Codes
from bitseek.collection import Collection, _batch, _format_faiss, _format_npz, _format_parquet, _formats
from bitseek.collection._batch import Batch
from bitseek.errors import BitseekError, CodeWidthError, MissingExtra, ShapeError

FORMATS = [".npz", ".parquet", ".faiss"]
MODULES = (_format_npz, _format_parquet, _format_faiss)
KNOWN = {
    ".npz": vars(Batch)["__match_args__"],
    ".parquet": vars(Batch)["__match_args__"],
    ".faiss": ("ids", "codes"),
}


def some_batch(n=5, bits=12, seed=0, first=0):
    rng = np.random.default_rng(seed)
    paths = [None, b"/photos/a.jpg", b'new\nline "quoted" \'\xff\xfe.jpg', "/ü/日本.png".encode(), b"=cmd|'/c calc'!A0"]
    labels = [None, "cat", "=1+1", "a;b", "cat\n\u2028 ☃"]
    hashes = [None, *(rng.bytes(16) for _ in range(4))]
    return Batch(
        ids=np.arange(first, first + n) * 3 + 7,
        codes=Codes.from_bits(rng.random((n, bits)) < 0.5),
        paths=[paths[i % 5] for i in range(n)],
        labels=[labels[i % 5] for i in range(n)],
        widths=rng.integers(0, 5000, n),
        heights=rng.integers(0, 5000, n),
        sizes=rng.integers(0, 2**40, n),
        modified=rng.integers(-(2**50), 2**51, n) * 1000,
        hashes=[hashes[i % 5] for i in range(n)],
    )


def joined(batches):
    """All items of some batches as plain lists."""
    whole = {name: [] for name in vars(Batch)["__match_args__"]}
    for batch in batches:
        for name, column in vars(batch).items():
            whole[name] += column.hex() if name == "codes" else list(column)
    return whole


def read(file, **options):
    with _formats.read(file, **options) as source:
        return source, joined(source.batches)


paths = st.none() | st.binary(min_size=1, max_size=40).map(lambda b: b.replace(b"\0", b"/"))
labels = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
hashes = st.none() | st.binary(min_size=16, max_size=16).filter(any)


@st.composite
def batches(draw):
    """Some batches of items; also none, and empty ones."""
    bits = draw(st.integers(1, 140))
    made = []
    for n in draw(st.lists(st.integers(0, 9), max_size=4)):
        rng = np.random.default_rng(draw(st.integers(0, 2**32)))
        column = st.lists(st.integers(0, 2**31 - 1), min_size=n, max_size=n).map(lambda v: np.array(v, np.int64))
        times = st.lists(st.integers(-(2**53), 2**53).map(lambda t: 1000 * t), min_size=n, max_size=n)
        made.append(
            dict(  # not yet a Batch: its types are checked at random places, which Hypothesis does not like
                ids=draw(column),
                codes=Codes.from_bits(rng.random((n, bits)) < 0.5),
                paths=draw(st.lists(paths, min_size=n, max_size=n)),
                labels=draw(st.lists(labels, min_size=n, max_size=n)),
                widths=draw(column),
                heights=draw(column),
                sizes=draw(column),
                modified=draw(times.map(lambda v: np.array(v, np.int64))),
                hashes=draw(st.lists(hashes, min_size=n, max_size=n)),
            )
        )
    return bits, made


@pytest.mark.parametrize("suffix", FORMATS)
@settings(max_examples=40, deadline=None)
@given(drawn=batches(), at_once=st.integers(1, 12), fingerprint=st.text(st.characters(codec="ascii", categories=["L"])))
def test_there_and_back(suffix, drawn, at_once, fingerprint, tmp_path_factory):
    bits, given_batches = drawn[0], [Batch(**columns) for columns in drawn[1]]
    file = tmp_path_factory.mktemp("export") / f"photos{suffix}"
    assert _formats.write(file, iter(given_batches), bits=bits, fingerprint=fingerprint) == file
    with pytest.MonkeyPatch.context() as patch:
        for module in MODULES:
            patch.setattr(module, "ROWS", at_once)
        source, found = read(file, bits=bits)
    expected = joined(given_batches)
    assert (source.bits, source.fingerprint, source.size) == (bits, fingerprint, len(expected["ids"]))
    for name in KNOWN[suffix]:
        assert found[name] == expected[name], name
    assert {len(column) for column in found.values()} == {source.size}
    assert list(file.parent.iterdir()) == [file], "no temporary file is left"


@pytest.mark.parametrize("suffix", FORMATS)
def test_an_export_is_replaced_by_another_and_nothing_else_is(suffix, tmp_path):
    file = tmp_path / f"photos{suffix}"
    for n in (3, 5):
        _formats.write(file, [some_batch(n)], bits=12, fingerprint="f")
        assert read(file)[0].size == n
    foreign = {".npz": b"PK", ".parquet": b"PAR1PAR1", ".faiss": b"IBxF" + bytes(29)}
    for content in (b"", b"the user's", foreign[suffix]):
        file.write_bytes(content)
        with pytest.raises(BitseekError, match=f"is not an export of bitseek to {suffix}; move it away"):
            _formats.write(file, [some_batch()], bits=12, fingerprint="f")
        assert file.read_bytes() == content
    with pytest.raises(BitseekError, match="there is no folder"):
        _formats.write(tmp_path / "nowhere" / file.name, [], bits=12, fingerprint="f")


def test_a_damaged_or_earlier_faiss_export_is_replaced(tmp_path):
    """Its sentence says to export again, so that must be possible; what faiss itself wrote stays."""
    file = tmp_path / "a.faiss"

    def write():
        _formats.write(file, [some_batch(5, 12)], bits=12, fingerprint="f")

    write()
    content = file.read_bytes()
    end = content.index(b'{"bits"')
    earlier = b'{"bits": 12, "fingerprint": "f"}\n'
    ours = {
        "a bit of a code": content[:60] + bytes([content[60] ^ 1]) + content[61:],
        "the first bytes": bytes(16) + content[16:],
        "a hole in the line": content[: end + 20] + content[end + 30 :],
        "an earlier form": content[:end] + earlier + len(earlier).to_bytes(8, "little") + b"bitseek\n",
        "the last byte": content[:-1],
        "most of the line": content[: end + 12],
    }
    for damaged in ours.values():
        file.write_bytes(damaged)
        with pytest.raises(BitseekError, match=r"is not a \.faiss file of items that can be read"):
            read(file)
        write()
        assert file.read_bytes() == content
    for foreign in (
        content[:end],
        content[:end] + b"x",
        content[: end - 3],
        content[:30],
        b"bitseek",
        b"",
        b'{"bits": 64} of bitseek\n',
    ):
        file.write_bytes(foreign)
        with pytest.raises(BitseekError, match=r"is not an export of bitseek to \.faiss; move it away"):
            write()
        assert file.read_bytes() == foreign


def test_foreign_files_of_the_same_kinds_are_not_replaced(tmp_path):
    import faiss
    import pyarrow as pa
    from pyarrow import parquet

    some_batch().codes.save(tmp_path / "codes.npz")
    parquet.write_table(pa.table({"code": [b"ab"]}), tmp_path / "table.parquet")
    index = faiss.IndexBinaryFlat(16)
    index.add(some_batch().codes.to_packed())
    faiss.write_index_binary(index, str(tmp_path / "index.faiss"))
    for name in ("codes.npz", "table.parquet", "index.faiss"):
        with pytest.raises(BitseekError, match="is not an export of bitseek"):
            _formats.write(tmp_path / name, [some_batch()], bits=12, fingerprint="f")


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_name_that_is_not_utf8(suffix, tmp_path):
    file = tmp_path / os.fsdecode(b"caf\xe9") / (os.fsdecode(b"x\xff") + suffix)
    file.parent.mkdir()
    for n in (3, 5):
        _formats.write(file, [some_batch(n)], bits=12, fingerprint="f")
        assert read(file)[1]["codes"] == joined([some_batch(n)])["codes"]


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_failure_while_writing_leaves_the_old_file(suffix, tmp_path):
    file = tmp_path / f"photos{suffix}"
    _formats.write(file, [some_batch(3)], bits=12, fingerprint="f")
    before = file.read_bytes()

    def failing():
        yield some_batch(4)
        raise BitseekError("the collection is damaged")

    with pytest.raises(BitseekError, match="the collection is damaged"):
        _formats.write(file, failing(), bits=12, fingerprint="f")
    assert file.read_bytes() == before and list(tmp_path.iterdir()) == [file]


def test_npz_as_numpy_reads_it(tmp_path):
    batch = some_batch(10, bits=70)
    _formats.write(tmp_path / "a.npz", [batch, some_batch(3, 70, 1, 10)], bits=70, fingerprint="abc+onnx")
    assert Codes.load(tmp_path / "a.npz")[:10] == batch.codes
    with np.load(tmp_path / "a.npz", allow_pickle=False) as arrays:
        assert arrays["ids"].tolist() == [3 * i + 7 for i in range(13)]
        assert [path or None for path in arrays["paths"].tobytes().split(b"\0")[:-1]][:10] == batch.paths
        names = json.loads(arrays["label_names"].item())
        assert [None if i < 0 else names[i] for i in arrays["labels"].tolist()][:10] == batch.labels
        assert arrays["hashes"].shape == (13, 16) and arrays["fingerprint"].item() == "abc+onnx"


def test_parquet_as_others_read_it(tmp_path):
    from pyarrow import parquet

    batch = some_batch(5)
    _formats.write(tmp_path / "a.parquet", [batch], bits=12, fingerprint="abc")
    table = parquet.read_table(tmp_path / "a.parquet")
    rows = table.to_pylist()
    assert [row["code"] for row in rows] == [row.tobytes() for row in batch.codes.to_packed("little")]
    assert [row["label"] for row in rows] == batch.labels
    assert [row["path"] for row in rows][1] == "/photos/a.jpg" and rows[0]["path"] is None
    assert rows[2]["path"] == 'new\nline "quoted" \'\ufffd\ufffd.jpg' and rows[2]["path_bytes"] == batch.paths[2]
    assert [row["path_bytes"] for row in rows if row is not rows[2]] == [None] * 4
    assert table.schema.metadata == {
        b"bitseek.bits": b"12",
        b"bitseek.fingerprint": b"abc",
        b"bitseek.bit_order": b"little",
    }
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(batch.modified[0]) // 1000)
    assert rows[0]["modified"] == moment
    assert str(table.schema.field("code").type) == "fixed_size_binary[2]"


@pytest.mark.parametrize("bits", [8, 12, 64, 100])
def test_faiss_searches_it_and_finds_ids(bits, tmp_path):
    import faiss

    batch = some_batch(200, bits)
    _formats.write(tmp_path / "a.faiss", [batch], bits=bits, fingerprint="abc")
    index = faiss.read_index_binary(str(tmp_path / "a.faiss"))
    assert index.ntotal == 200
    queries = some_batch(6, bits, seed=5).codes
    distances, ids = index.search(queries.to_packed("little"), 3)
    away = (queries.to_bits()[:, None] ^ batch.codes.to_bits()[None]).sum(axis=2)
    assert distances.tolist() == np.sort(away, axis=1)[:, :3].tolist()
    place = {id: i for i, id in enumerate(batch.ids.tolist())}
    for query, (row, near) in enumerate(zip(ids.tolist(), distances.tolist(), strict=True)):
        assert [away[query, place[id]] for id in row] == near


@pytest.mark.parametrize("wrapped", [False, True])
def test_files_of_faiss_are_read(wrapped, tmp_path):
    import faiss

    codes = some_batch(20, 61).codes
    index = faiss.IndexBinaryFlat(64)
    ids = np.arange(20)[::-1] * 5
    if wrapped:
        whole = faiss.IndexBinaryIDMap(index)
        whole.add_with_ids(codes.to_packed("little"), ids)
    else:
        (whole := index).add(codes.to_packed("little"))
    faiss.write_index_binary(whole, str(tmp_path / "a.faiss"))
    source, found = read(tmp_path / "a.faiss", bits=61)
    assert (source.bits, source.fingerprint, source.size) == (61, None, 20)
    assert found["codes"] == codes.hex() and found["ids"] == (ids if wrapped else np.arange(20)).tolist()
    assert read(tmp_path / "a.faiss")[0].bits == 64
    for bits in (56, 72):
        with pytest.raises(CodeWidthError, match=f"codes of 64 bits, not {bits}"):
            read(tmp_path / "a.faiss", bits=bits)
    with pytest.raises(BitseekError, match="padding after bit 57 is not zero"):
        read(tmp_path / "a.faiss", bits=57)


def test_files_of_codes_and_foreign_parquet_are_read(tmp_path):
    import pyarrow as pa
    from pyarrow import parquet

    codes = some_batch(7, 20).codes
    codes.save(tmp_path / "a.npz")
    packed = [row.tobytes() for row in codes.to_packed("little")]
    parquet.write_table(pa.table({"code": packed, "label": ["x"] * 7, "more": [1.5] * 7}), tmp_path / "a.parquet")
    for name in ("a.npz", "a.parquet"):
        source, found = read(tmp_path / name, bits=20)
        assert (source.bits, source.fingerprint, source.size) == (20, None, 7)
        assert found["codes"] == codes.hex() and found["ids"] == list(range(7)) and found["paths"] == [None] * 7
    assert found["label" + "s"] == ["x"] * 7
    with pytest.raises(BitseekError, match="does not say how many bits"):
        read(tmp_path / "a.parquet")
    parquet.write_table(pa.table({"code": pa.array(packed, pa.binary(3))}), tmp_path / "b.parquet")
    assert read(tmp_path / "b.parquet")[0].bits == 24


@pytest.mark.parametrize("suffix", FORMATS)
def test_codes_of_another_length_are_refused(suffix, tmp_path):
    file = tmp_path / f"a{suffix}"
    _formats.write(file, [some_batch(bits=12)], bits=12, fingerprint="f")
    with pytest.raises(CodeWidthError, match="holds codes of 12 bits, not 13"):
        read(file, bits=13)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("how", ["empty", "cut off", "text", "middle"])
def test_damaged_files_are_refused_in_a_sentence(suffix, how, tmp_path):
    file = tmp_path / f"a{suffix}"
    _formats.write(file, [some_batch(2000, 64)], bits=64, fingerprint="f")
    content = bytearray(file.read_bytes())
    if how == "middle":
        content[200:1200] = bytes(1000)
    file.write_bytes({"empty": b"", "cut off": content[: len(content) // 2], "text": b"id,path\n"}.get(how, content))
    with pytest.raises(BitseekError, match=r"a\.\w+ is not a \.\w+ file of items that can be read"):
        read(file)


def test_a_faiss_file_is_read_as_it_was_written_or_refused(tmp_path):
    """Each bit of the codes, the ids and the last line flipped; and the file cut anywhere behind the index."""
    file, batch = tmp_path / "a.faiss", some_batch(5, 12)
    _formats.write(file, [batch], bits=12, fingerprint="f")
    content, (source, whole) = file.read_bytes(), read(file)
    codes_at = content.index(batch.codes.to_packed("little").tobytes())
    end = content.index(b'{"bits"')
    ids_at = end - 8 * 5
    assert (source.bits, codes_at + 2 * 5 + 8) == (12, ids_at)
    for at in [*range(codes_at, codes_at + 10), *range(ids_at, len(content))]:
        for bit in range(8):
            damaged = bytearray(content)
            damaged[at] ^= 1 << bit
            file.write_bytes(damaged)
            with pytest.raises(BitseekError, match=r"is not a \.faiss file of items that can be read"):
                read(file)
    for stop in range(end + 1, len(content)):
        file.write_bytes(content[:stop])
        with pytest.raises(BitseekError, match="cut off or damaged"):
            read(file)
    file.write_bytes(content[:end])  # all that faiss knows, as faiss itself writes it
    source, found = read(file, bits=12)
    assert source.fingerprint is None and found["codes"] == whole["codes"] and found["ids"] == whole["ids"]


@settings(max_examples=150, deadline=None)
@given(suffix=st.sampled_from(FORMATS), data=st.data())
def test_hostile_files_give_a_sentence_or_items(suffix, data, tmp_path_factory):
    """Bytes changed anywhere: a BitseekError or some items, never another error."""
    file = tmp_path_factory.mktemp("hostile") / f"a{suffix}"
    _formats.write(file, [some_batch(20)], bits=12, fingerprint="f")
    content = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + 1] = data.draw(st.binary(max_size=9))
    file.write_bytes(content)
    try:
        read(file)
    except BitseekError as error:
        assert str(file) in str(error)


def rewritten(file, **changes):
    """An export with some arrays changed; None leaves one out."""
    with np.load(file) as arrays:
        changed = {name: changes.get(name, arrays[name]) for name in arrays.files}
    with zipfile.ZipFile(file, "w") as archive:
        for name, value in changed.items():
            if value is not None:
                with archive.open(f"{name}.npy", "w") as member:
                    np.lib.format.write_array(member, np.asanyarray(value), allow_pickle=False)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"words": None}, "instead of words and bits"),
        ({"words": np.zeros((5, 2), np.uint64)}, "words are"),
        ({"words": np.full((5, 1), 1 << 20, np.uint64)}, "above bit 12"),
        ({"ids": np.zeros(4, np.int64)}, "ids are"),
        ({"sizes": np.zeros(5)}, "sizes are"),
        ({"hashes": np.zeros((5, 8), np.uint8)}, "hashes are"),
        ({"labels": np.full(5, 9)}, "labels are not the numbers"),
        ({"labels": np.full(5, -2)}, "labels are not the numbers"),
        ({"label_names": "{"}, ""),
        ({"paths": np.zeros(3, np.uint8)}, "fewer paths than codes"),
        ({"paths": np.array(["a", "b"])}, "paths are"),
        ({"paths": np.array([["a"]] * 5)}, "paths are"),
        ({"paths": np.full(5, 0x110000, np.uint32).view("<U1")}, ""),
        ({"labels": np.array(list("abcde"))}, "labels are"),
        ({"bits": np.array([12, 12])}, ""),
        ({"bits": "many"}, ""),
        ({"ids": np.zeros((), np.int64)}, "by rows"),
    ],
)
def test_npz_files_that_do_not_fit_together(changes, said, tmp_path):
    file = tmp_path / "a.npz"
    _formats.write(file, [some_batch()], bits=12, fingerprint="f")
    rewritten(file, **changes)
    with pytest.raises(BitseekError, match=r"a\.npz is not a \.npz file.*" + said):
        read(file)


def test_arrays_of_objects_are_never_unpickled(tmp_path):
    np.savez(tmp_path / "a.npz", words=np.array([print], object), bits=12)
    with pytest.raises(BitseekError, match="not an array of numbers"):
        read(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", words=np.zeros((0, 1), np.uint64), bits=np.array(print, object))
    with pytest.raises(BitseekError, match="Object arrays cannot be loaded"):
        read(tmp_path / "b.npz")


def test_names(tmp_path):
    for name in ("a.csv", "a", "a.npz.gz"):
        with pytest.raises(BitseekError, match=r"should end in one of \.npz, \.parquet, \.faiss"):
            _formats.write(tmp_path / name, [], bits=4, fingerprint="f")
        with pytest.raises(BitseekError, match=r"should end in one of \.npz, \.parquet, \.faiss"):
            read(tmp_path / name)
    with pytest.raises(BitseekError, match="there is no file"):
        read(tmp_path / "absent.npz")
    _formats.write(tmp_path / "A.NPZ", [some_batch()], bits=12, fingerprint="f")
    assert read(tmp_path / "A.NPZ")[0].size == 5


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for call in (
        lambda: _formats.write(tmp_path / "a.parquet", [some_batch()], bits=12, fingerprint="f"),
        lambda: read(tmp_path / "a.parquet"),
    ):
        with pytest.raises(MissingExtra, match=r"pip install 'bitseek\[parquet\]'"):
            call()


def test_columns_of_a_batch_are_of_one_length():
    with pytest.raises(ShapeError, match="as many of each"):
        Batch(**{**vars(some_batch()), "paths": [None]})


def test_what_the_reader_of_a_file_does_wrong_is_not_blamed_on_the_file(tmp_path):
    _formats.write(tmp_path / "a.npz", [some_batch()], bits=12, fingerprint="f")
    with pytest.raises(KeyError), _formats.read(tmp_path / "a.npz") as source:
        for _ in source.batches:
            raise KeyError("mine")


MEMORY = """
import resource, sys
import numpy as np
from bitseek.codes import Codes
from bitseek.collection import _formats
from bitseek.collection._batch import Batch
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
def batches(count):
    rng = np.random.default_rng(0)
    for i in range(count):
        n = 20_000
        zero = np.zeros(n, np.int64)
        paths = [b"/a/folder/with/a/long/name/%08d.jpg" % (i * n + j) for j in range(n)]
        codes = Codes(rng.integers(0, 2**64, (n, 1), dtype=np.uint64), 64)
        yield Batch(np.arange(n) + i * n, codes, paths, ["label"] * n, zero, zero, zero, zero, [bytes([1]) * 16] * n)
for count in (3, 40):
    _formats.write(sys.argv[1], batches(count), bits=64, fingerprint="f")
    with _formats.read(sys.argv[1]) as source:
        assert sum(len(batch) for batch in source.batches) == count * 20_000
    print(peak())
"""


@pytest.mark.parametrize("suffix", FORMATS)
def test_memory_does_not_grow_with_the_items(suffix, tmp_path):
    """60,000 and 800,000 items, whose columns are 80 MB and as Python objects 200."""
    command = [sys.executable, "-c", MEMORY, str(tmp_path / f"a{suffix}")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    small, large = map(int, done.stdout.split())
    assert large < small + 60, f"{small} and {large} MB"


def test_the_size_of_a_batch_is_one_for_all_formats():
    assert {module.ROWS for module in MODULES} == {_batch.ROWS}


@pytest.mark.parametrize("name", ["c.npz", "big-endian.npz"])
def test_codes_that_encode_wrote_are_added(name, tmp_path):
    """As `bitseek encode` calls `Codes.save`: paths as text, of names that are not UTF-8 too."""
    names = [f"/photos/{i}-ü.jpg" for i in range(39)] + [os.fsdecode(b"/photos/\xff.jpg")]
    hasher = Projection()
    codes = Codes.from_bits(np.random.default_rng(3).random((40, hasher.bits)) < 0.5)
    order = ">" if name.startswith("big") else "<"
    texts = np.array(names, np.str_)
    codes.save(
        tmp_path / name, paths=texts.astype(texts.dtype.newbyteorder(order)), fingerprint=np.str_(hasher.fingerprint)
    )
    with Collection.create(tmp_path / "collection", hasher=hasher) as collection:
        assert collection.add_codes(tmp_path / name).added == 40
        assert [item.path for item in collection.items()] == names
        assert [item.code for item in collection.items()] == codes.hex()
    other = Projection(1)
    with (
        Collection.create(tmp_path / "other", hasher=other) as collection,
        pytest.raises(CodeWidthError, match="model"),
    ):
        collection.add_codes(tmp_path / name)


def test_paths_as_text_are_read_in_portions(tmp_path):
    names = ["x" * 5000 + str(i) for i in range(700)] + [""]  # 14 MB
    codes = Codes.from_bits(np.random.default_rng(3).random((701, 12)) < 0.5)
    codes.save(tmp_path / "a.npz", paths=np.array(names))
    assert read(tmp_path / "a.npz")[1]["paths"] == [*(name.encode() for name in names[:-1]), None]
