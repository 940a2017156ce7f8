"""What benchmarks/auto.py keeps of an earlier run on other data sets."""

from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
RUN = {"command": "c", "date": "d", "commit": "a", "hardware": {}}


@pytest.fixture
def beside(monkeypatch):
    monkeypatch.syspath_prepend(str(CHECKOUT / "benchmarks"))
    from auto import beside

    return beside


def results(minutes=9.0, **mean):
    data = [{"protocol": {"name": name}, "mean": value} for name, value in mean.items()]
    return {"bits": 64, "minutes": minutes, "data": data}


def test_a_data_set_takes_the_place_of_its_own(beside):
    found = beside(RUN | {"results": results(x=0.1, y=0.2)}, results(y=0.3))
    assert found == results(x=0.1, y=0.3) | {"before": [RUN]}
    again = beside(RUN | {"date": "e", "results": found}, results(z=0.4, x=0.5))
    assert again == results(y=0.3, z=0.4, x=0.5) | {"before": [RUN, RUN | {"date": "e"}]}


def test_another_budget_is_refused(beside):
    with pytest.raises(SystemExit, match=r"minutes=9\.0, not 5\.0"):
        beside(RUN | {"results": results(x=0.1)}, results(5.0, x=0.3))
