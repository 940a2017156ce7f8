"""`python -m bitseek`, for `torchrun -m bitseek train …`: each process does its part, the first one speaks."""

import os
from contextlib import redirect_stdout
from pathlib import Path

from bitseek.cli import main

if __name__ == "__main__":
    if os.environ.get("RANK", "0") == "0":
        main()
    else:
        with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
            main()
