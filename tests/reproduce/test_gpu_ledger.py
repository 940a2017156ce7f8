"""Rows of the ledger that takes an accelerator, benchmarks/gpu_ledger.py: how one is run, and what the others lack."""

from pathlib import Path

import pytest
import torch

from bitseek.errors import DataError

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture
def module(monkeypatch):
    monkeypatch.syspath_prepend(str(CHECKOUT / "benchmarks"))
    import gpu_ledger

    return gpu_ledger


@pytest.fixture
def small(module, four_classes, monkeypatch):
    """Two small rows of the same network, on a protocol that is there."""

    def load(name, *, root, seed, download):
        assert not download
        if name != "here":
            raise DataError(f"there is no file {name}.bin")
        return four_classes

    rows = tuple(module.Row("small-cnn", name, 8, "orthohash") for name in ("here", "away"))
    monkeypatch.setattr(module, "TABLE", rows)
    monkeypatch.setattr(module, "FROM_SCRATCH", "small-cnn")
    monkeypatch.setattr(module, "BITS", (8,))
    monkeypatch.setattr(module, "load_protocol", load)
    monkeypatch.setattr(module.Row, "recipe", lambda row: {"epochs": 1, "batch_size": 16})
    return rows


def test_the_table_has_all_that_is_asked_for(module):
    assert len(module.TABLE) == len(set(module.TABLE)) == 2 * 3 * 3 * 6
    assert {row.bits for row in module.TABLE} == {16, 32, 64}
    published = {row.method: row.recipe() for row in module.TABLE}
    assert published["orthohash"]["epochs"] == 100  # that of the whole network, not of a head
    assert published["relahash"]["batch_size"] == 16


def test_what_can_be_run_is_run_once_and_the_rest_says_what_it_lacks(module, small, tmp_path):
    setting = module.Setting(size=8, device="cpu")
    ledger = module.Ledger(setting, tmp_path)
    module.run(ledger, float("inf"))
    here, away = small
    row = ledger.found(here)
    assert ledger.found(away) is None
    assert ledger.precisions(row).mean() == pytest.approx(row["mAP"], abs=1e-5)
    assert row["environment"]["device"] and row["images_per_second"] > 0
    assert list((tmp_path / "runs").iterdir()) == []
    again = module.Ledger(setting, tmp_path, runs=False)
    assert again.trial(here) == row

    found = module.tables(again)
    whole = {"results": {"tables": found}, "commit": "c", "date": "2026-01-01"}
    page = "\n".join(module.page(whole))
    assert f"| `orthohash` | {row['mAP']:.3f} | {row['images_per_second']:,.0f} |" in page
    assert "`small-cnn` on `away`: 1 of 1 rows are not run.\n  Missing: there is no file away.bin." in page
    assert "on `here`: 1 of 1" not in page


def test_a_row_that_was_stopped_goes_on(module, small, tmp_path, monkeypatch):
    ledger = module.Ledger(module.Setting(size=8, device="cpu"), tmp_path / "one")
    with monkeypatch.context() as patch:
        patch.setattr(module, "evaluate", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            ledger.trial(small[0])
    resumed = ledger.trial(small[0])
    unbroken = module.Ledger(ledger.setting, tmp_path / "other").trial(small[0])
    assert resumed["mAP"] == unbroken["mAP"]
    assert resumed["images_per_second"] is None


def test_no_row_begins_after_its_time(module, small, tmp_path):
    ledger = module.Ledger(module.Setting(size=8, device="cpu"), tmp_path)
    module.run(ledger, 0)
    assert ledger.rows == {}


def test_all_that_is_missing_is_said_not_only_the_first(module, small, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "FROM_SCRATCH", "resnet18")
    monkeypatch.setattr(module, "pick_device", lambda _: torch.device("cpu"))
    setting = module.Setting(weights=tmp_path / "none.safetensors", size=32)
    missing = setting.lacks("mobilenetv2_100", "away")
    for part, line in zip(("accelerator", "away.bin", "none.safetensors"), missing, strict=True):
        assert part in line
    assert module.tables(module.Ledger(setting, tmp_path))[0]["rows"] == []
    assert module.Setting(size=32, device="cpu").lacks("resnet18", "here") == ()


def test_a_device_that_is_not_there_is_said(module, small):
    (missing,) = module.Setting(size=32, device="cuda:77").lacks("small-cnn", "here")
    assert "cuda:77" in missing


def test_rows_of_another_precision_or_network_are_other_rows(module, small, tmp_path):
    file = tmp_path / "w.safetensors"
    file.write_bytes(b"x")
    settings = [
        module.Setting(size=8),
        module.Setting(size=16),
        module.Setting(size=8, precision="bf16"),
        module.Setting(size=8, compiled=True),
    ]
    keys = {module.Ledger(each, tmp_path).key(small[0]) for each in settings}
    assert len(keys) == len(settings)
    pretrained = module.Row("mobilenetv2_100", "here", 8, "orthohash")
    assert len({module.Ledger(module.Setting(weights=w), tmp_path).key(pretrained) for w in (None, file)}) == 2
