"""Models on the Hugging Face hub: fetched, or taken from the cache of its client where it cannot be reached."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bitseek.errors import MissingExtra, RunError

PROBE_SECONDS = 5.0


def fetch(name: str, files: Sequence[str], **options: Any) -> Path:
    """The folder in the cache with the files of a model.

    Args:
        name: `org/name`.
        files: which to fetch; those that the model does not have are left out.
        options: of `huggingface_hub.snapshot_download` (revision, token, cache_dir, local_files_only, …).

    Raises:
        RunError: there is no such model, it may not be read, or it is not in the cache and the hub cannot be reached.
    """
    with sentences(name):
        from huggingface_hub import constants, snapshot_download

        offline = bool(options.pop("local_files_only", False)) or constants.HF_HUB_OFFLINE
        away = None if offline else unreachable(name)
        try:
            return Path(
                snapshot_download(
                    name, allow_patterns=list(files), local_files_only=offline or away is not None, **options
                )
            )
        except OSError:
            if away is None:
                raise
            raise OSError(f"it is not in the cache, and the hub cannot be reached: {away}") from None


def unreachable(name: str) -> str | None:
    """Why the hub gives no answer at once; None if it gives one. Its own client would try for a minute."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import HfHubHTTPError

    try:
        get_hf_file_metadata(hf_hub_url(name, "config.json"), timeout=PROBE_SECONDS)
    except HfHubHTTPError:
        pass  # an answer: the client will say what is wrong
    except Exception as error:  # of whatever HTTP library the hub's client uses in this version
        return _reason(error)
    return None


@contextmanager
def sentences(name: str) -> Iterator[None]:
    """What goes wrong between here and the hub, as one RunError."""
    try:
        yield
    except ImportError as error:
        raise MissingExtra.for_import(error) or error from error
    except RunError:
        raise
    except (OSError, ValueError) as error:  # all that the client raises; ValueError is for what is no name
        raise RunError(
            f"{name} cannot be had from or given to the Hugging Face hub ({type(error).__name__}: {_reason(error)}); "
            "check the name, the connection and `hf auth login`, or give a folder or file of this machine"
        ) from error


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
