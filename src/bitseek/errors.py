"""The exceptions that bad input raises.

Every message says what was given, what was expected and what to do. The command line prints a `BitseekError` as one
sentence and exits with a status other than zero; any other exception is a bug of bitseek and keeps its traceback.
"""


class BitseekError(ValueError):
    """Something given cannot be used; the message says what to do."""


class ShapeError(BitseekError):
    """An array has the wrong shape, type or values."""


class CodeWidthError(BitseekError):
    """Codes of different length, or of different models, were compared or mixed."""


class ImageError(BitseekError):
    """An image cannot be found or decoded."""


class ImageTooLarge(ImageError):
    """An image has more pixels than this process may decode, or needs more memory than there is."""


class LabelError(BitseekError):
    """No item of a collection has a label."""


class DataError(BitseekError):
    """A data set is absent, damaged, or not what its protocol says."""


class RunError(BitseekError):
    """A run folder, weights file or collection is absent, damaged, or does not fit."""


class UnsupportedError(BitseekError):
    """The place where a collection is kept cannot do this."""


class MissingExtra(BitseekError, ImportError):
    """An optional part of bitseek is needed and not installed.

    Args:
        package: the module that could not be imported.
        extra: the extra of bitseek that installs it.

    Attributes:
        package, extra: as given.
    """

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"this needs {package}, which is not installed; install it with: pip install 'bitseek[{extra}]'"
        )
        self.package = package
        self.extra = extra

    def __reduce__(self) -> tuple[type["MissingExtra"], tuple[str, str]]:
        """An error of another process comes as pickle, which would else give the message for the arguments."""
        return type(self), (self.package, self.extra)

    @classmethod
    def for_import(cls, error: ImportError) -> "MissingExtra | None":
        """The error to raise instead of a failed import; None if no extra installs that module."""
        package = (error.name or "").partition(".")[0]
        extra = next((extra for extra, packages in EXTRAS.items() if package in packages), None)
        return None if extra is None else cls(package, extra)


EXTRAS = {
    "train": ("torch", "torchvision", "timm", "safetensors", "sklearn", "huggingface_hub", "jinja2", "loky"),
    "plots": ("umap", "tensorboard"),
    "onnx": ("onnxruntime",),
    "export": ("onnx", "onnxscript"),
    "serve": ("fastapi", "starlette", "uvicorn", "orjson", "prometheus_client", "python_multipart"),
    "parquet": ("pyarrow",),
    "engines": ("ray", "psycopg"),
}
"""Modules that each extra installs."""
