"""`python -m bitseek`, for `torchrun -m bitseek train …`: each process does its part, the first one speaks."""

import os
import sys
from contextlib import redirect_stdout
from pathlib import Path

from bitseek.cli import main

TOGETHER = ("train", "evaluate", "report")
"""Commands that several processes do together; of any other, each would do the whole."""

if __name__ == "__main__":
    command = next(iter(sys.argv[1:]), "-")
    if os.environ.get("WORLD_SIZE", "1") != "1" and not command.startswith("-") and command not in TOGETHER:
        sys.stderr.write(
            f"bitseek: torchrun starts several processes, which {', '.join(TOGETHER)} do together; start {command} "
            "without it (encode takes machines by --shard)\n"
        )
        sys.exit(2)
    if os.environ.get("RANK", "0") == "0":
        main()
    else:
        with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
            main()
