"""`python -m bitseek`, for `torchrun -m bitseek train …`: each process does its part, the first one speaks."""

import os
import sys
from contextlib import redirect_stdout
from pathlib import Path

from bitseek.cli import main

TOGETHER = ("train", "evaluate", "report")
"""Commands that several processes do together; of any other, each would do the whole."""

if __name__ == "__main__":
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and sys.argv[1:2] and sys.argv[1] not in TOGETHER:
        sys.exit(
            f"bitseek: torchrun starts several processes, which {', '.join(TOGETHER)} do together; start {sys.argv[1]} "
            "without it (encode takes machines by --shard)"
        )
    if os.environ.get("RANK", "0") == "0":
        main()
    else:
        with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
            main()
