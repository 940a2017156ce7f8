"""RunConfig: all that is needed to repeat a run and to measure it."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from bitseek._files import read_json, user_path, write_json
from bitseek._values import Value
from bitseek.codes import prefix_fingerprint
from bitseek.data import Origin
from bitseek.errors import BitseekError, RunError
from bitseek.methods import Recipe, Task, make_recipe, method_class
from bitseek.metrics import Denominator
from bitseek.models import BackboneConfig

FILE = "config.json"

OUTCOME = ("environment", "complete", "fingerprint", "unreadable")
"""Fields that say how a run went; the others say which run it is."""


class RunConfig(Value):
    """One training of one method on one protocol.

    Attributes:
        method: its name.
        recipe: all hyper-parameters, by name.
        bits: length of the codes, K.
        prefix_of: length of the codes that were trained, where these are their first bits only.
        seed: of the split, the initial weights, the codebook, the order and the augmentation.
        frozen: whether only what the method adds to the backbone was trained.
        validation: share of the training items that was held out, to keep the weights that are best on them.
        bf16: whether the backbone ran under bfloat16 autocast.
        protocol: its name.
        origin: how to load it again: name, options, root, seed; None for a protocol that was made in Python.
        checksum: of the split.
        k, denominator: what the protocol's mAP@k is.
        classes: their names.
        multi_label: whether an item can have several.
        items: number of training items, N.
        backbone: how it was built; None for a head on features whose backbone nobody knows.
        features: length of the backbone's output, D.
        environment: versions and hardware.
        complete: whether the training came to its end.
        fingerprint: of the hasher; None before the first was written.
        unreadable: messages of the training images that could not be decoded.
    """

    format: Literal[2] = 2
    method: str
    recipe: dict[str, Any]
    bits: int = Field(ge=1)
    prefix_of: int | None = Field(default=None, ge=2)
    seed: int = Field(default=0, ge=0)
    frozen: bool = False
    validation: float = Field(default=0.0, ge=0, lt=1)
    bf16: bool = False
    protocol: str
    origin: Origin | None = None
    checksum: str
    k: int | None = Field(default=None, ge=1)
    denominator: Denominator = "retrieved"
    classes: tuple[str, ...]
    multi_label: bool = False
    items: int = Field(ge=0)
    backbone: BackboneConfig | None = None
    features: int = Field(ge=1)
    environment: dict[str, str] = Field(default_factory=dict)
    complete: bool = False
    fingerprint: str | None = None
    unreadable: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _recipe_fits(self) -> "RunConfig":
        if self.bits not in self.lengths or self.bits == self.prefix_of:
            raise ValueError(f"the first {self.bits} of {self.prefix_of} bits were not trained to be codes")
        return self

    @property
    def task(self) -> Task:
        """What the method is trained on."""
        return Task(
            features=self.features,
            bits=self.prefix_of or self.bits,
            classes=len(self.classes),
            items=self.items,
            multi_label=self.multi_label,
            seed=self.seed,
        )

    @property
    def full_recipe(self) -> Recipe:
        """The recipe as the method's own type."""
        return make_recipe(method_class(self.method), self.recipe)

    @property
    def lengths(self) -> tuple[int, ...]:
        """Lengths at which the first bits are codes in their own right, ascending; the last is `bits`."""
        trained = method_class(self.method).lengths_of(self.task, self.full_recipe)
        return tuple(length for length in trained if length <= self.bits)

    def prefix(self, bits: int) -> "RunConfig":
        """That of the first bits, of one of the `lengths`."""
        whole = self.prefix_of or self.bits
        fingerprint = self.fingerprint and prefix_fingerprint(self.fingerprint, bits)
        return self.changed(bits=bits, prefix_of=whole if bits < whole else None, fingerprint=fingerprint)

    @property
    def title(self) -> str:
        """One line for headings."""
        return f"{self.bits}-bit codes by {self.method} on {self.protocol}"

    def changed(self, **values: Any) -> "RunConfig":
        """This configuration with other values."""
        return type(self)(**{**dict(self), **values})

    def without_paths(self) -> "RunConfig":
        """This configuration as others may see it: no path of the machine, and nobody's file names.

        What a protocol of the user's own was loaded from is left out, and so the whole of its origin.
        """
        origin, backbone = self.origin, self.backbone
        if origin is not None:
            values = (origin.name, *map(str, origin.options.values()))
            own = any("/" in value or "\\" in value for value in values)
            origin = None if own else replace(origin, root=None)
        if backbone is not None and backbone.weights is not None:
            backbone = backbone.model_copy(update={"weights": Path(backbone.weights).name})
        return self.changed(origin=origin, backbone=backbone, unreadable=())

    def differing(self, other: "RunConfig") -> list[str]:
        """Names of the fields by which another configuration is another run."""
        return [
            name
            for name in type(self).model_fields
            if name not in OUTCOME and getattr(self, name) != getattr(other, name)
        ]

    def write(self, folder: Path) -> None:
        """Write the configuration into a run folder, atomically."""
        write_json(folder / FILE, self.model_dump(mode="json"))

    @classmethod
    def read(cls, folder: str | Path) -> "RunConfig":
        """The configuration of a run.

        Raises:
            RunError: the folder is not a run, or its configuration is damaged or of another version.
        """
        path = user_path(folder) / FILE
        if not path.is_file():
            raise RunError(f"{folder} is not a run folder: there is no {FILE} in it; make one with: bitseek train")
        try:
            values = read_json(path)
            if not isinstance(values, dict) or "method" not in values:
                raise BitseekError("it does not look like the configuration of a run")
            if values.get("format") != 2:
                raise BitseekError(
                    f"it has format {values.get('format', 1)}, this bitseek reads 2; train the run again"
                )
            return cls(**values)
        except BitseekError as error:
            raise RunError(f"{path} cannot be read: {error}") from error
