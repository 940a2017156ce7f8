"""Ray: actors that die are followed by others, shards are added while others search, collections, encoding."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from tests.collection.harness import png
from tests.collection.projection import Projection
from tests.engines.harness import check, check_growth, codes, write_shards

from bitseek.collection import Collection
from bitseek.engines import Model, Slice, collection_exists, connect, create_collection, listed, open_collection
from bitseek.engines._cluster import Cluster
from bitseek.engines._encode import Work
from bitseek.engines._ray import RayAddress
from bitseek.engines._ray_encode import Worker, _share_out
from bitseek.errors import BitseekError, MissingExtra, RunError
from bitseek.portable import load

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no signals that kill")


def process_of(actor):
    return actor.ask("process")()


def kill(actor):
    """End the process of an actor, and wait until it is gone."""
    number = process_of(actor)
    os.kill(number, signal.SIGKILL)
    deadline = time.monotonic() + 120
    while Path(f"/proc/{number}").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    return number


def actors_of(engine):
    return [placed.part.actor for placed in engine._placed[:-1]]


def test_dead_actors_are_followed_by_others(cluster, tmp_path):
    """Between questions and while one is answered; what was added and removed is as it was."""
    database, queries = codes(400, 40), codes(5, 40, seed=1)
    engine = connect(f"ray://{write_shards(tmp_path / 's', database[:390], [90, 300])}?threads=1")
    alive = np.ones(400, bool)
    engine.add(database[390:])
    engine.remove([2, 95, 391])
    alive[[2, 95, 391]] = False
    check(engine, database, queries, alive, 30, 12)
    first, second = actors_of(engine)
    before = [kill(first), process_of(second)]
    check(engine, database, queries, alive, 30, 12)
    waiting = [first.ask("call", "nearest", queries, 7), second.ask("call", "nearest", queries, 7)]
    os.kill(process_of(first), signal.SIGKILL)
    kill(second)
    assert engine.remove([2, 94, 399]) == 2
    alive[[94, 399]] = False
    check(engine, database, queries, alive, 30, 12)
    assert [len(answer()) for answer in waiting] == [5, 5]
    assert not {*before} & {process_of(first), process_of(second)}
    engine.close()


def test_an_actor_that_always_dies_is_given_up(cluster, tmp_path):
    class Dying:
        def call(self):
            os._exit(1)

        def sleep(self):
            time.sleep(60)

    with pytest.raises(RunError, match="the actor for a test died 4 times"):
        cluster.actor("a test", lambda: cluster.start(Dying), patience=300).ask("call")()
    late = cluster.actor("a test", lambda: cluster.start(Dying), patience=1.0)
    with pytest.raises(RunError, match="has not answered for 1 s"):
        late.ask("sleep")()
    late.close()


def test_what_an_actor_cannot_read_is_one_sentence(cluster, tmp_path):
    folder = write_shards(tmp_path / "s", codes(20, 16), [20])
    engine = connect(f"ray://{folder}?threads=1")
    shutil.rmtree(folder)
    with pytest.raises(RunError, match=r"no shard-0001-of-0001 in"):
        engine.nearest(codes(1, 16))
    engine.close()


def test_shards_are_added_while_others_search(cluster, tmp_path):
    first, more = codes(300, 40), codes(200, 40, seed=5)
    engine = connect(f"ray://{write_shards(tmp_path / 'a', first, [300])}?threads=1")
    write_shards(tmp_path / "b", more, [200])
    check_growth(engine, first, more, lambda: engine.add_shards(tmp_path / "b"))
    with pytest.raises(BitseekError, match="40 bits"):
        engine.add_shards(write_shards(tmp_path / "c", codes(3, 16), [3]))
    engine.close()


def test_a_collection_is_searched_by_actors(cluster, tmp_path):
    """Its items stay where they are; updates are found, and codes that its file has lost."""
    for i in range(20):
        (tmp_path / "photos").mkdir(exist_ok=True)
        (tmp_path / "photos" / f"{i:02d}.png").write_bytes(png(i))
    place, hasher = f"ray://{tmp_path / 'c'}?actors=2&threads=1", Projection()
    assert not collection_exists(place)
    with create_collection(place, hasher=hasher) as made:
        made.update(tmp_path / "photos", hasher=hasher)
        made.remove([4, 11])
    assert collection_exists(place)
    queries = codes(4, hasher.bits, seed=1)
    with Collection.open(tmp_path / "c") as plain, open_collection(place) as opened:
        for options in [{"k": 7}, {"k": None, "radius": 34}, {"k": 30, "radius": 33}]:
            assert opened.search(queries, **options) == plain.search(queries, **options)
        image = tmp_path / "photos" / "07.png"
        for rerank in (None, "logits"):
            wanted = plain.search(image, k=5, hasher=hasher, rerank=rerank)
            assert opened.search(image, k=5, hasher=hasher, rerank=rerank) == wanted
        assert len(actors_of(opened._published.index)) == 2
        (tmp_path / "photos" / "new.png").write_bytes(png(99))
        plain.update(hasher=hasher)
        assert opened.refresh() and plain.codes.words.shape == (21, 2)
        assert opened.search(queries, k=30) == plain.search(queries, k=30)
    file = tmp_path / "c" / "codes.bin"
    file.write_bytes(file.read_bytes()[:-20])  # a power failure; what is lost is in the items
    with Collection.open(tmp_path / "c") as plain:
        engine = connect(place.replace("actors=2", "actors=1"))
        assert engine.codes(plain.alive) == plain.codes[plain.alive] and len(engine) == 19
        np.testing.assert_array_equal(engine.nearest(queries, 30).ids, plain._published.index.nearest(queries, 30).ids)
        engine.close()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for i in range(240):
        (folder / f"{i:03d}.png").write_bytes(png(i, side=8))
    (folder / "bad.png").write_bytes(b"no image")
    return folder


def test_a_worker_that_is_killed_costs_one_shard(cluster, exported, pictures, tmp_path):
    files, total = listed([pictures]), 24
    model = Model(str(exported), "cpu", 1)
    workers = [cluster.actor("encoding", lambda: cluster.start(Worker, model), patience=120) for _ in range(2)]
    fingerprint, bits = workers[0].ask("describe")()
    work = Work.of(tmp_path / "s", fingerprint, bits, files, total)
    killed = []

    def murder():
        while not list((tmp_path / "s").glob("shard-*-0024.json")):
            time.sleep(0.005)
        killed.extend([kill(workers[0]), kill(workers[1])])

    thread = threading.Thread(target=murder)
    thread.start()
    steps = []
    done = _share_out(workers, work, files, lambda *step: steps.append(step))
    thread.join()
    assert len(killed) == 2 and not {*killed} & {process_of(worker) for worker in workers}
    for worker in workers:
        worker.close()
    assert [each.slice for each in done] == Slice.all(total) and steps[-1] == (241, 241)
    assert sum(each.items for each in done) == 240 and sum(len(each.unreadable) for each in done) == 1
    assert connect(tmp_path / "s").codes() == load(exported).encode(files[:-1])


def test_the_command_joins_a_cluster(cluster, exported, pictures, tmp_path):
    """Another process, by the address of the cluster; and one that is not there."""

    def encode(address):
        arguments = ["encode", str(exported), str(pictures), "--shards", "3", "--out", str(tmp_path / "s"), "--ray"]
        command = [sys.executable, "-m", "bitseek", *arguments, address]
        return subprocess.run(command, capture_output=True, text=True, timeout=300)

    done = encode(cluster.address)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{tmp_path / 's'}: 3 shards, 240 codes of 16 bits\n"
    assert connect(tmp_path / "s").codes() == load(exported).encode(listed([pictures])[:-1])
    refused = encode("127.0.0.1:9")
    assert refused.returncode == 1 and "Traceback" not in refused.stderr
    assert refused.stderr.strip().splitlines()[-1].startswith("bitseek: nobody answers at 127.0.0.1:9")


def test_addresses():
    assert RayAddress.parse("ray:///a/b") == ("", Path("/a/b"), None, None, "auto")
    whole = "ray://10.0.0.1:6379/a%20b?actors=4&threads=2&plan=scan"
    assert RayAddress.parse(whole) == ("10.0.0.1:6379", Path("/a b"), 4, 2, "scan")
    for text in [
        "ray://",
        "ray:///",
        "ray://host:1",
        "ray:///a?threads=0",
        "ray:///a?cores=2",
        "ray:///a?plan=fast",
        "ray:///a#b",
    ]:
        with pytest.raises(BitseekError):
            RayAddress.parse(text)


def test_without_ray(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ray", None)
    folder = write_shards(tmp_path / "s", codes(3, 16), [3])
    with pytest.raises(MissingExtra, match=r"pip install 'bitseek\[engines\]'"):
        connect(f"ray://{folder}")


def test_nothing_leaves_the_machine(cluster):
    """No statistics, no dashboard, and nobody else can connect."""
    import ray

    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
    assert cluster.address.startswith("127.0.0.1:") and cluster.machines == 1
    assert not ray._private.worker._global_node.webui_url
    with pytest.raises(RunError, match="this process is part of the cluster"):
        Cluster("10.1.2.3:6379")
