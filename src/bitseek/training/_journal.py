"""The trials of a search in a file of the run folder, so that a search that was killed goes on where it was."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from bitseek._files import FilePath, read_json, user_path, write_json
from bitseek.errors import BitseekError, RunError
from bitseek.runs import SEARCH, RunConfig, make_run_folder

MEASURE = "measure"
"""The fact that says by what settings are compared: not the user's, but this version's."""
FORMAT = "bitseek: what auto tried, 1"


class Trial(NamedTuple):
    """One head that was trained and measured.

    Attributes:
        stage: of the search.
        method: its name.
        recipe: what differs from the recipe that its heads have by default.
        fold: which of the training items were held out.
        score: on these; None if it could not be trained.
        seconds: that it took; where several run at a time, those since the one before was done. Their sum is the time
            that all of them took.
        reason: why it could not be trained; None if it was.
    """

    stage: str
    method: str
    recipe: dict[str, Any]
    fold: int
    score: float | None
    seconds: float
    reason: str | None = None


class Journal:
    """Every trial of one search, written as soon as it is known; before the first there is no file.

    Args:
        folder: of the run, made if it is not there; None to keep nothing.
        facts: which search it is, values that JSON can hold.
        resume: whether to go on with the search of these facts that the folder has.

    Attributes:
        trials: in the order in which they were done.
        chosen: method and recipe that won; None before the end.

    Raises:
        RunError: the folder holds a run or a search already and `resume` is not set, or another one, or something else.
    """

    def __init__(self, folder: Path | None, facts: Mapping[str, Any], *, resume: bool = False) -> None:
        self.folder, self.facts = folder, dict(facts)
        self.trials: list[Trial] = []
        self.chosen: dict[str, Any] | None = None
        if folder is None:
            return
        if not (folder / SEARCH).is_file():
            if (folder / "config.json").is_file():
                raise RunError(f"{folder} holds a run of another kind; give another --out")
            make_run_folder(folder)
            return
        if not resume:
            raise RunError(f"{folder} holds a run already; go on with it by --resume, or give another --out")
        stored = read_journal(folder)
        for name in (name for name, value in self.facts.items() if stored["for"].get(name) != value):
            if name != MEASURE:
                remedy = "resume with what it was started with, or give another --out"
            elif stored["chosen"] is None:
                remedy = "another version of bitseek began it; go on with that one, or give another --out"
            else:
                continue  # what was chosen stays, whatever it was measured by
            before, now = stored["for"].get(name), self.facts[name]
            raise RunError(f"{folder} is another search: its {name} is {before!r}, not {now!r}; {remedy}")
        self.trials = [Trial(**trial) for trial in stored["trials"]]
        self.chosen = stored["chosen"]

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if error is not None and self.folder is not None:
            with suppress(OSError):  # something was tried, or is the user's
                self.folder.rmdir()

    def find(self, method: str, recipe: Mapping[str, Any], fold: int) -> Trial | None:
        """The trial of these, if it was made before."""
        same = (trial for trial in self.trials if (trial.method, trial.recipe, trial.fold) == (method, recipe, fold))
        return next(same, None)

    def add(self, trial: Trial) -> None:
        """Keep a trial."""
        self.trials.append(trial)
        self.write()

    def close(self, method: str, recipe: Mapping[str, Any]) -> None:
        """Keep what was chosen."""
        self.chosen = {"method": method, "recipe": dict(recipe)}
        self.write()

    def write(self) -> None:
        """Write all of it, atomically."""
        if self.folder is not None:
            trials = [trial._asdict() for trial in self.trials]
            write_json(
                self.folder / SEARCH, {"format": FORMAT, "for": self.facts, "trials": trials, "chosen": self.chosen}
            )


def read_journal(folder: Path) -> dict[str, Any]:
    """What a journal has written.

    Raises:
        RunError: it is damaged, or of something else.
    """
    path = folder / SEARCH
    try:
        stored = read_json(path)
        if stored["format"] != FORMAT or not isinstance(stored["for"], dict):
            raise BitseekError("it is of something else")
        for trial in stored["trials"]:
            Trial(**trial)
        if stored["chosen"] is not None:
            stored["chosen"]["method"], stored["chosen"]["recipe"]
    except (BitseekError, TypeError, KeyError) as error:
        raise RunError(f"{path} cannot be read: {error}; move it away to search anew") from error
    found: dict[str, Any] = stored
    return found


def read_search(run: FilePath) -> dict[str, Any] | None:
    """What was tried before a run was trained: `for`, `trials` and `chosen`; None if nothing was.

    Raises:
        RunError: not a run folder, or the file is damaged.
    """
    folder = user_path(run)
    config = RunConfig.read(folder)
    if not (folder / SEARCH).is_file():
        return None
    found = read_journal(folder)
    mine = found["chosen"] is not None and found["chosen"]["method"] == config.method
    return found if mine and found["for"].get("checksum") == config.checksum else None
