"""The recorder: what a folder holds at each moment, and what the next training makes of it."""

import pytest
import torch

from bitseek.errors import BitseekError, MissingExtra, RunError
from bitseek.methods import METHODS
from bitseek.runs import RunConfig, read_history
from bitseek.training import _checkpoint
from bitseek.training._checkpoint import STATE, Recorder


def config(**changed):
    values = {
        "method": "ce", "recipe": METHODS["ce"].recipe_class().model_dump(mode="json"), "bits": 8, "protocol": "toy",
        "checksum": "0" * 64, "classes": ("a", "b"), "items": 4, "features": 3,
    }  # fmt: skip
    return RunConfig(**{**values, **changed})


STATE_OF_2 = {"step": 7, "epoch": 2, "weights": torch.arange(3.0)}


def test_without_a_folder_nothing_is_recorded():
    recorder = Recorder(None, seconds=0.0, tensorboard=True)
    with recorder:
        assert recorder.open(config(), resume=False) == {} and not recorder.due
        recorder.log({"epoch": 1})
        recorder.checkpoint(STATE_OF_2)


def test_a_checkpoint_and_the_epochs_before_it_come_back(tmp_path):
    run = tmp_path / "deep" / "run"
    first = Recorder(run, seconds=0.0)
    with pytest.raises(KeyboardInterrupt), first:
        assert first.open(config(), resume=False) == {}
        assert first.empty and first.due
        for epoch in (1, 2):
            first.log({"epoch": epoch, "loss": 0.1 * epoch})
        first.checkpoint(STATE_OF_2)
        assert not first.empty
        first.log({"epoch": 3, "loss": 9.0})
        with (run / "metrics.jsonl").open("a") as file:
            file.write('{"epoch": 4, "lo')  # a kill in the middle of a line
        raise KeyboardInterrupt
    second = Recorder(run)
    with second:
        state = second.open(config(environment={"torch": "another"}), resume=True)
        assert state["step"] == 7 and torch.equal(state["weights"], STATE_OF_2["weights"])
        assert not second.empty and not second.due
        assert read_history(run) == [{"epoch": 1, "loss": 0.1}, {"epoch": 2, "loss": 0.2}]
    assert not (run / "checkpoint").exists(), "it came to its end"


def test_a_training_that_came_to_nothing_leaves_the_folder_to_the_next(tmp_path):
    for bits in (8, 16):
        recorder = Recorder(tmp_path / "run")
        with pytest.raises(ValueError, match="before the first step"), recorder:
            recorder.open(config(bits=bits), resume=False)
            recorder.log({"epoch": 1})
            raise ValueError("before the first step")
        assert RunConfig.read(tmp_path / "run").bits == bits and not (tmp_path / "run" / STATE).exists()
    recorder = Recorder(tmp_path / "run")
    assert recorder.open(config(bits=4), resume=True) == {} and read_history(tmp_path / "run") == []


def test_two_trainings_do_not_share_a_folder(tmp_path):
    """Even if the second one begins before the first has written a checkpoint of its own."""
    Recorder(tmp_path).open(config(), resume=False)
    with pytest.raises(RunError, match="holds a run already"):
        Recorder(tmp_path).open(config(), resume=False)
    assert Recorder(tmp_path).open(config(), resume=True) == {}, "a killed one that is resumed begins anew"


def test_another_run_is_refused_and_moved_data_are_not(tmp_path):
    from bitseek.data import Origin

    Recorder(tmp_path).open(config(origin=Origin("folder:/a")), resume=False)
    with pytest.raises(RunError, match="another run: its bits is 8, not 16"):
        Recorder(tmp_path).open(config(bits=16, origin=Origin("folder:/a")), resume=True)
    assert Recorder(tmp_path).open(config(origin=Origin("folder:/b")), resume=True) == {}


def test_a_complete_run_is_neither_trained_again_nor_overwritten(tmp_path):
    config(complete=True, fingerprint="0" * 16).write(tmp_path)
    before = (tmp_path / "config.json").read_bytes()
    assert Recorder(tmp_path).open(config(), resume=True) is None
    with pytest.raises(RunError, match="holds a run already"):
        Recorder(tmp_path).open(config(), resume=False)
    assert (tmp_path / "config.json").read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_files_of_the_user_stay(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("precious")
    with pytest.raises(RunError, match="is not a run"):
        Recorder(tmp_path / "mine").open(config(), resume=False)
    recorder = Recorder(tmp_path / "run")
    with recorder:
        recorder.open(config(), resume=False)
        (tmp_path / "run" / "checkpoint" / "notes.txt").write_text("precious")
    assert (tmp_path / "mine" / "notes.txt").read_text() == "precious"
    assert [path.name for path in (tmp_path / "run" / "checkpoint").iterdir()] == ["notes.txt"]


def test_a_damaged_checkpoint_says_so(tmp_path):
    Recorder(tmp_path).open(config(), resume=False)
    (tmp_path / STATE).write_bytes(b"half a checkpoint")
    with pytest.raises(RunError, match=r"checkpoint .* is damaged; remove it"):
        Recorder(tmp_path).open(config(), resume=True)
    (tmp_path / STATE).unlink()
    assert Recorder(tmp_path).open(config(), resume=True) == {}
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(RunError, match="cannot be read"):
        Recorder(tmp_path).open(config(), resume=True)


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(BitseekError):
            Recorder(place).open(config(), resume=False)


def test_tensorboard_is_missed_before_anything_is_written(tmp_path, monkeypatch):
    def absent():
        raise MissingExtra("tensorboard", "plots")

    monkeypatch.setattr(_checkpoint, "_summary_writer", absent)
    with pytest.raises(MissingExtra):
        Recorder(tmp_path / "run", tensorboard=True)
    assert not (tmp_path / "run").exists()
