"""Whatever happens to files, updates and their processes, a collection is what a plain dictionary says it is."""
# ruff: noqa: PTH103, PTH104, PTH105, PTH108, PTH116, PTH118

import contextlib
import hashlib
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.collection.harness import png
from tests.collection.projection import Projection

from bitseek.codes import Codes
from bitseek.collection import Collection, _items, _thumbnails
from bitseek.collection._by_id import ById

PATHS = [
    b"one.png",
    b"two\nlines.png",
    b"caf\xe9/three.png",
    b"a/four.png",
    b"a/five.png",
    b"b/six.png",
    b"b/.hidden.png",
]
FOLDERS = [b"caf\xe9", b"a", b"b"]
CONTENTS = [png(i) for i in range(5)] + [b"no image", b"", png(9)[:40]]
READABLE = CONTENTS[:5]


class Killed(BaseException):
    """Ends an update at a write; from then on nothing can be written, as if the process were dead."""


@contextlib.contextmanager
def killed_at(number):
    """Let the n-th and all later writes raise."""
    left = number

    def fails(write):
        def or_dies(*args, **options):
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed
            return write(*args, **options)

        return or_dies

    @contextlib.contextmanager
    def dying(connection):
        nonlocal left
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            left -= 1
            if left < 0:
                raise Killed
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise

    modules = [
        module for name in ("_items", "_update", "_compare", "_writer", "_collection", "_import")
        for module in [__import__(f"bitseek.collection.{name}", fromlist=["x"])] if hasattr(module, "transaction")
    ]  # fmt: skip
    before = ById.write, _thumbnails.Thumbnails.put, _items.transaction
    try:
        ById.write, _thumbnails.Thumbnails.put = fails(before[0]), fails(before[1])
        for module in modules:
            module.transaction = dying
        yield
    finally:
        ById.write, _thumbnails.Thumbnails.put = before[:2]
        for module in modules:
            module.transaction = before[2]


class Files(RuleBasedStateMachine):
    @initialize(features=st.booleans())
    def begin(self, features):
        self.place = Path(tempfile.mkdtemp(prefix="bitseek-test-"))
        self.root = os.fsencode(self.place / "photos")
        for folder in FOLDERS:
            os.makedirs(os.path.join(self.root, folder))
        (self.place / "photos" / "kept.txt").touch()  # so that the folder is never empty
        self.hasher = Projection()
        self.code = dict(
            zip(READABLE, self.hasher.encode([self.written(content) for content in READABLE]).hex(), strict=True)
        )
        self.by_hash = {
            hashlib.blake2b(content, digest_size=16).hexdigest(): self.code[content] for content in READABLE
        }
        self.collection = Collection.create(self.place / "c", hasher=self.hasher, features=features)
        self.collection.update(os.fsdecode(self.root), hasher=self.hasher)
        self.hasher.encoded = 0
        self.ignored = {}  # path → stamp, of items that were removed by hand
        self.items = {}  # path → content, as of the last update
        self.ever = set()  # contents that were items once

    def written(self, content):
        file = self.place / "content.png"
        file.write_bytes(content)
        self.n = getattr(self, "n", 0) + 1
        return str(file.rename(self.place / f"{self.n}.png"))

    def teardown(self):
        if hasattr(self, "collection"):
            self.collection.close()
            shutil.rmtree(self.place)

    def path(self, path):
        return os.path.join(self.root, path)

    @property
    def there(self):
        found = (os.path.join(parent, name) for parent, _, names in os.walk(self.root) for name in names)
        return sorted(os.path.relpath(path, self.root) for path in found if path.endswith(b".png"))

    def stamp(self, path):
        status = os.stat(self.path(path))
        return status.st_size, status.st_mtime_ns

    def expected(self):
        """Content of each path that must be an item now."""
        found = {}
        for path in self.there:
            content = Path(os.fsdecode(self.path(path))).read_bytes()
            if b"/." not in path and content in self.code and self.ignored.get(path) != self.stamp(path):
                found[path] = content
        return found

    # --- what happens to files --------------------------------------------------------------------------------

    @rule(path=st.sampled_from(PATHS), content=st.sampled_from(CONTENTS))
    def write(self, path, content):
        Path(os.fsdecode(self.path(path))).write_bytes(content)

    @precondition(lambda self: self.there)
    @rule(data=st.data(), to=st.sampled_from(PATHS))
    def rename(self, data, to):
        os.replace(self.path(data.draw(st.sampled_from(self.there))), self.path(to))

    @rule(one=st.sampled_from(FOLDERS), other=st.sampled_from(FOLDERS))
    def swap_folders(self, one, other):
        if one != other:
            os.rename(self.path(one), self.path(b"swap"))
            os.rename(self.path(other), self.path(one))
            os.rename(self.path(b"swap"), self.path(other))

    @precondition(lambda self: self.there)
    @rule(data=st.data())
    def touch(self, data):
        os.utime(self.path(data.draw(st.sampled_from(self.there))))

    @precondition(lambda self: self.there)
    @rule(data=st.data())
    def delete(self, data):
        os.unlink(self.path(data.draw(st.sampled_from(self.there))))

    # --- what is done with the collection -----------------------------------------------------------------------

    @rule(again=st.booleans())
    def update(self, again):
        expected, before = self.expected(), set(self.items.values())
        self.hasher.encoded = 0
        done = self.collection.update(None if again else os.fsdecode(self.root), hasher=lambda: self.hasher)
        new = set(expected.values())
        assert len(new - self.ever) <= self.hasher.encoded <= len(new - before)
        assert done.added + done.moved + done.unchanged == len(expected)
        broken = {path for path in self.there if b"/." not in path} - set(expected)
        broken = {path for path in broken if self.ignored.get(path) != self.stamp(path)}
        assert set(done.unreadable) == {os.fsdecode(self.path(path)) for path in broken}
        self.settle(expected)
        assert self.collection.update(hasher=lambda: 1 / 0).unchanged == len(expected)

    def settle(self, expected):
        self.ignored = {p: s for p, s in self.ignored.items() if p in self.there and self.stamp(p) == s}
        self.items = expected
        self.ever |= set(expected.values())

    @rule(writes=st.integers(0, 12))
    def kill(self, writes):
        """An update ends at some write. What is there then is right, if perhaps not all; the next one completes it."""
        with contextlib.suppress(Killed), killed_at(writes):
            self.collection.update(os.fsdecode(self.root), hasher=self.hasher)
        self.collection.close()
        self.collection = Collection.open(self.place / "c")
        for item in self.collection.items():
            assert item.code == self.by_hash[item.hash]
        expected = self.expected()
        self.collection.update(hasher=self.hasher)
        self.settle(expected)

    @precondition(lambda self: self.items)
    @rule(data=st.data())
    def remove(self, data):
        path = data.draw(st.sampled_from(sorted(self.items)))
        item = self.collection.find(self.path(path))
        assert self.collection.remove([item.id]) == 1
        assert self.collection.remove([item.id]) == 0
        del self.items[path]
        self.ignored[path] = item.size, item.mtime_ns

    @rule()
    def reopen(self):
        self.collection.close()
        self.collection = Collection.open(self.place / "c")

    @rule()
    def verify(self):
        found = self.collection.verify(hasher=self.hasher)
        assert found.ok and not [finding for finding in found.findings if finding.part in ("items", "features")]

    @invariant()
    def is_what_the_dictionary_says(self):
        if not hasattr(self, "collection"):
            return
        expected = {os.fsdecode(self.path(path)): content for path, content in self.items.items()}
        items = self.collection.items()
        assert {item.path: item.code for item in items} == {
            path: self.code[content] for path, content in expected.items()
        }
        for item in items:
            relative = os.path.relpath(item.path, os.fsdecode(self.root))
            first = relative.partition("/")[0].replace("\udce9", r"\xe9")
            assert item.label == (first if "/" in relative else None) and (item.width, item.height) == (6, 6)
        labels = [item.label for item in items if item.label]
        assert self.collection.labels() == {label: labels.count(label) for label in set(labels)}
        query = Codes.from_bits(np.random.default_rng(0).random((1, self.hasher.bits)) < 0.5)
        bits = Codes.from_hex([item.code for item in items], self.hasher.bits).to_bits()
        distances = (bits != query.to_bits()).sum(axis=1)
        order = np.lexsort(([item.id for item in items], distances))[:3]
        hits = self.collection.search(query, k=3)[0]
        assert [(hit.item, hit.distance) for hit in hits] == [(items[i], distances[i]) for i in order]


Files.TestCase.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
TestFiles = Files.TestCase
