"""The geometry of charts, and the SVG that is drawn from it."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitseek.report._charts import BOTTOM, LEFT, RIGHT, TOP, Scale, bar_chart, line_chart, path_chart, short
from bitseek.report._page import _environment
from bitseek.report._sections import training


def svg(chart):
    return str(_environment().get_template("figures.html").module.chart(chart))


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=8), st.booleans())
def test_a_scale_holds_all_values_and_its_ticks_are_within(values, whole):
    scale = Scale.of(values, 0.0, 100.0)
    assert all(-0.01 <= scale(v) <= 100.01 for v in values)
    whole = whole and scale.high - scale.low > 2
    places = [place for place, _ in scale.ticks(whole)]
    assert len(places) <= 12 and all(-0.01 <= place <= 100.01 for place in places) and places == sorted(places)
    assert places and not (whole and any("." in text for _, text in scale.ticks(whole)))


@given(st.floats(1e-6, 1e6), st.floats(101, 1e9))
def test_a_logarithmic_scale_has_powers_of_ten(low, factor):
    scale = Scale.of([low, low * factor], 0.0, 100.0, log=True)
    assert -0.01 <= scale(low) < scale(low * factor) <= 100.01
    assert scale(scale.low) == 0 and scale(scale.high) == 100 and scale((scale.low * scale.high) ** 0.5) == 50
    assert all(re.fullmatch(r"1e[+-]\d+|0\.0*1|10*|1(,?0)*(,000)*", text) for _, text in scale.ticks())


@pytest.mark.parametrize(("value", "text"), [(0.12345, "0.1235"), (999.96, "1000"), (1234.5, "1,234"), (None, "none")])
def test_values_are_short(value, text):
    assert short(value) == text


def test_a_line_has_a_point_for_each_value_and_a_tip_for_each_x():
    chart = line_chart(
        [1, 2, 3], {"a": [0.0, None, 1.0], "b": [1.0, 0.5, float("nan")]}, x_name="x", label="l", share=True
    )
    assert chart.lines == [[(LEFT, BOTTOM), (RIGHT, TOP)], [(LEFT, TOP), ((LEFT + RIGHT) / 2, (TOP + BOTTOM) / 2)]]
    assert [tip.text for tip in chart.tips] == ["x 1: a 0, b 1", "x 2: b 0.5", "x 3: a 1"]
    drawn = svg(chart)
    assert drawn.count("<polyline") == 2 and drawn.count('class="touch"') == 3 and drawn.count("<li>") == 2
    assert f'points="{LEFT}.0,{BOTTOM}.0 {RIGHT}.0,{TOP}.0 "' in drawn or f'points="{LEFT},{BOTTOM} ' in drawn


def test_tips_cover_the_plot_without_gaps():
    chart = line_chart(list(range(7)), {"a": [1.0] * 7}, x_name="x", label="l")
    edges = [(tip.x - chart.reach, tip.x + chart.reach) for tip in chart.tips]
    width = RIGHT - LEFT
    assert sum(high - low for low, high in edges) == pytest.approx(width, abs=0.1)


def test_a_wide_loss_is_logarithmic():
    chart = line_chart([1.0, 2.0, 3.0], {"loss": [500.0, 5.0, 0.5]}, x_name="epoch", label="loss")
    assert [text for _, text in chart.y_ticks] == ["0.1", "1", "10", "100", "1,000"]
    narrow = line_chart([1.0, 2.0], {"loss": [5.0, 0.5]}, x_name="epoch", label="loss")
    assert [text for _, text in narrow.y_ticks] == ["0", "1", "2", "3", "4", "5"]


def test_one_point_is_marked_and_nothing_is_no_error():
    assert svg(line_chart([1.0], {"a": [0.3]}, x_name="x", label="l")).count('class="dot') == 1
    assert "<polyline" in svg(line_chart([1.0], {"a": [None]}, x_name="x", label="nothing"))


def test_many_epochs_are_thinned():
    epochs = [*map(float, range(4001))]
    drawn = svg(line_chart(epochs, {"loss": [1 / (epoch + 1) for epoch in epochs]}, x_name="epoch", label="loss"))
    assert 200 < drawn.count("data-tip") <= 240 and "epoch 0:" in drawn and "epoch 4,000:" in drawn


def test_a_path_keeps_the_order_of_its_points_and_skips_what_does_not_exist():
    points = {"first": (0.0, 1.0), "gone": (float("nan"), 0.5), "second": (1.0, 0.0), "back": (0.5, 0.5)}
    chart = path_chart(points, x_name="recall", label="l")
    middle = ((LEFT + RIGHT) / 2, (TOP + BOTTOM) / 2)
    assert chart.lines == [[(LEFT, TOP), (RIGHT, BOTTOM), middle]]
    assert [tip.text for tip in chart.tips] == ["first", "second", "back"]
    drawn = svg(chart)
    assert drawn.count('class="dot s0"') == 3 and drawn.count('<circle cx="187.0" cy="91.0" r="8"') == 1


@given(st.lists(st.floats(0, 1), min_size=1, max_size=130))
def test_bars_hang_from_the_middle_inside_of_the_plot(values):
    chart = bar_chart(values, x_name="bit", label="l", middle=0.5, tips=[str(v) for v in values])
    assert chart.base == (TOP + BOTTOM) / 2 and len(chart.bars) == len(chart.tips) == len(values)
    right = LEFT
    for (x, y, width, height), value in zip(chart.bars, values, strict=True):
        assert right - 0.05 <= x and x + width <= RIGHT + 0.05 and width > 0
        assert (y == chart.base) == (value <= 0.5 or abs(value - 0.5) < 1e-4) or abs(y - chart.base) < 0.02
        assert height == pytest.approx(max(abs(value - 0.5) * (BOTTOM - TOP), 0.5), abs=0.02)
        right = x + width


def test_texts_are_escaped():
    drawn = svg(line_chart([1.0, 2.0], {"<a>": [1.0, 2.0], '"': [0.0, 1.0]}, x_name="<x>", label='"l"'))
    assert "<a>" not in drawn and "<x>" not in drawn and 'aria-label="&#34;l&#34;"' in drawn


def test_the_training_has_a_chart_for_what_was_logged_and_no_other():
    history = [
        {"epoch": 1, "step": 9, "loss": 3.0, "cosine": 2.0, "quantisation": 1.0, "lr": 0.1, "seconds": 4.0},
        {"epoch": 2, "step": 18, "loss": 1.5, "cosine": 1.0, "quantisation": 0.5, "lr": 0.1, "validation_mAP": 0.5},
    ]
    charts = training(history)["charts"]
    assert [caption for _, caption in charts] == [
        "Loss and its terms.", "mAP on the training items that were held out.", "Learning rate.",
    ]  # fmt: skip
    assert charts[0][0].names == ["loss", "cosine", "quantisation"]
    assert [tip.text for tip in charts[1][0].tips] == ["epoch 2: validation_mAP 0.5"]
    one = training([{"epoch": 1, "loss": 3.0, "cosine": 3.0}])["charts"]
    assert [(chart.names, caption) for chart, caption in one] == [(["loss"], "Loss (cosine).")]
    assert training([])["charts"] == [] and training([{"epoch": 1, "loss": None}])["charts"][0][0].lines == [[]]
