"""How the training went: a small chart for everything that was logged after each epoch."""

from bitseek.report.charts import key, line_chart
from bitseek.report.findings import Findings
from bitseek.report.html import Html, figure, join, tag

NOT_TERMS = (
    "epoch", "step", "loss", "lr", "images_per_second", "seconds", "skipped", "codeword_accuracy", "validation_mAP"
)  # fmt: skip

CHARTS = (
    ("validation_mAP", "mAP on the training items that were held out."),
    ("codeword_accuracy", "Share of the training items whose nearest codeword is that of their class."),
    ("lr", "Learning rate."),
    ("images_per_second", "Images a second."),
)


def training_curves(findings: Findings) -> Html:
    """The loss and its terms, accuracy, validation, learning rate and speed by epoch."""
    history = findings.history
    if not history:
        return tag("p", "There are no curves: this method is fitted in one go, or no epoch was finished.",
                   class_="note")  # fmt: skip
    epochs = [float(record["epoch"]) for record in history]
    terms = [name for name in dict.fromkeys(name for record in history for name in record) if name not in NOT_TERMS]
    lines = ["loss", *terms] if len(terms) > 1 else ["loss"]
    figures = []
    if any("loss" in record for record in history):
        caption = "Loss" + (f" ({terms[0]})." if len(terms) == 1 else " and its terms." if terms else ".")
        values = {name: [_value(record.get(name)) for record in history] for name in lines}
        chart = line_chart(epochs, values, x_name="epoch", label="Loss by epoch")
        figures.append(figure(join(chart, key(lines) if len(lines) > 1 else None), caption))
    for name, caption in CHARTS:
        measured = [_value(record.get(name)) for record in history]
        if all(value is None for value in measured):
            continue
        share = name in ("validation_mAP", "codeword_accuracy")
        kept = [(epoch, value) for epoch, value in zip(epochs, measured, strict=True) if value is not None]
        chart = line_chart(
            [epoch for epoch, _ in kept], {name: [v for _, v in kept]}, x_name="epoch", label=caption, unit=share
        )
        figures.append(figure(chart, caption))
    return tag("div", *figures, class_="grid3")


def _value(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
