"""What a hasher has for the Hugging Face hub: a run is pushed and pulled as it is, without the paths of the machine."""

import copy
from typing import TYPE_CHECKING, Any, TypeVar, cast

from bitseek._files import FilePath, user_path
from bitseek._hub import fetch, sentences, unreachable
from bitseek.errors import RunError
from bitseek.runs._card import CARD, model_card
from bitseek.runs._config import FILE, RunConfig
from bitseek.runs._folder import MODEL, REPORT, keep_report

if TYPE_CHECKING:
    from bitseek.runs._hasher import Hasher

Kind = TypeVar("Kind", bound="OnTheHub")

FILES = (FILE, MODEL, REPORT, CARD)
"""All that a hasher is on the hub."""

ABOUT = {
    "library_name": "bitseek",
    "pipeline_tag": "image-feature-extraction",
    "tags": ["bitseek", "hashing", "image-retrieval"],
}
"""Metadata of the card, by which the hub lists a model."""


class OnTheHub:
    """`push_to_hub` and `from_pretrained` of a hasher, by the mixin of the hub's own client.

    It is not a base class, since importing the client takes as long as all the rest of a small command.
    """

    def save_pretrained(self, save_directory: FilePath, **options: Any) -> str | None:
        """Write the run into a folder as the hub shall have it: with its card, its figures and no path of this machine.

        Args:
            save_directory: which does not exist, is empty, or was written by this before.
            options: `push_to_hub=True` also pushes it, to `repo_id`; others are those of `push_to_hub`.

        Returns:
            Address of the commit, if it was pushed.

        Raises:
            RunError: the hasher comes from no run, or the folder holds another one or something else.
        """
        from huggingface_hub import metadata_save

        names = options.pop("model_card_kwargs", None) or {}
        pushed, repository = options.pop("push_to_hub", False), options.pop("repo_id", None)
        folder, public = user_path(save_directory), copy.copy(cast("Hasher", self))
        if public.config is not None:
            public.config = public.config.without_paths()
        public.save(folder)
        report = public.report if public.report and public.report.get("fingerprint") == public.fingerprint else None
        if report is not None:
            keep_report(folder, report)
        name = names.get("name", repository or folder.name)
        card = model_card(RunConfig.read(folder), report, name)
        (folder / CARD).write_text(card, encoding="utf-8", errors="backslashreplace")
        metadata_save(folder / CARD, ABOUT)
        return self.push_to_hub(repository or folder.name, **options) if pushed else None

    def push_to_hub(self, repo_id: str, **options: Any) -> str:
        """Publish the run as a model of the hub, which makes it if there is none of that name.

        Args:
            repo_id: `org/name`, or a name of one's own.
            options: of `huggingface_hub.ModelHubMixin.push_to_hub` (private, token, branch, commit_message, …).

        Returns:
            Address of the commit.

        Raises:
            RunError: the hasher comes from no run, the hub cannot be reached, or it does not allow it.
        """
        if cast("Hasher", self).config is None:
            raise RunError("this hasher has no RunConfig, so nothing could load it again; train it with bitseek.train")
        with sentences(repo_id):
            from huggingface_hub import ModelHubMixin, constants

            if constants.HF_HUB_OFFLINE or (away := unreachable(repo_id)) is not None:
                raise OSError("HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else away)
            # of its instance the method asks for `save_pretrained` only
            options = {"model_card_kwargs": {"name": repo_id}, **options}
            return ModelHubMixin.push_to_hub(cast(ModelHubMixin, self), repo_id, **options)

    @classmethod
    def from_pretrained(
        cls: type[Kind], pretrained_model_name_or_path: FilePath, *, device: str = "cpu", **options: Any
    ) -> Kind:
        """The hasher of a run on the hub, ready to encode.

        Args:
            pretrained_model_name_or_path: `org/name`, or a run folder of this machine.
            device: where it shall compute.
            options: of `huggingface_hub.snapshot_download` (revision, token, cache_dir, local_files_only, …).

        Raises:
            RunError: there is none, it is no run of bitseek, or it is not in the cache and the hub cannot be reached.
        """
        folder = user_path(pretrained_model_name_or_path)
        if not folder.is_dir():
            folder = fetch(str(pretrained_model_name_or_path), FILES, **options)
        return cast("Kind", cast("type[Hasher]", cls).load(folder, device=device))
