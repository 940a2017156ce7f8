"""Keep what a run reached: its configuration, report and time, as one JSON in benchmarks/results.

bitseek train orthohash mnist --bits 32 --epochs 4 --lr 1e-3 --out runs/mnist
python benchmarks/keep_run.py mnist runs/mnist --command "bitseek train …"
"""

import argparse
import json
from pathlib import Path

from record import record


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("run", type=Path)
    parser.add_argument("--command", required=True, help="the command that made the run")
    parser.add_argument("--note", default="")
    arguments = parser.parse_args()
    config, report = (json.loads((arguments.run / f"{part}.json").read_text()) for part in ("config", "report"))
    epochs = [json.loads(line) for line in (arguments.run / "metrics.jsonl").read_text().splitlines()]
    config["classes"] = len(config["classes"])
    report.pop("precision_recall", None)
    value = {
        "made_by": arguments.command,
        "note": arguments.note,
        "training_seconds": round(sum(epoch["seconds"] for epoch in epochs), 1),
        "config": config,
        "report": report,
        "last_epoch": epochs[-1],
    }
    print(
        f"{arguments.name}: mAP {report['mAP']:.4f} ({report['mAP_worst']:.4f} … {report['mAP_best']:.4f}), "
        f"{value['training_seconds']} s of training"
    )
    record(arguments.name, value)


if __name__ == "__main__":
    main()
