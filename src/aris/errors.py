"""The errors that Aris raises on purpose.

Each message is one line and says what was wrong, where, and what to do about it. No message carries patient data:
a file's path as the caller gave it is fine, its contents are not. The command line prints the message and exits;
anything that is not an `ArisError` is a defect.
"""

import errno


class ArisError(Exception):
    """Base of every error that Aris raises on purpose."""


class CheckpointError(ArisError):
    """Weights, adapters or their configuration are missing, gated, damaged or not of this family."""


class ImageError(ArisError):
    """An image file cannot be read, or is not what it says it is."""


class PromptError(ArisError):
    """A conversation cannot be turned into a prompt for this model."""


class ModelError(ArisError):
    """The model was asked for something that it cannot do (a dtype, an image without a tower, too many tokens)."""


class ConstraintError(ModelError):
    """The form that an answer must have cannot be met or followed: the request's fault, whenever it comes to light.

    Attributes:
        callers_fault: whoever asked is told, and nobody else: the message may quote the form.
    """

    callers_fault = True


class ScopeError(ArisError):
    """A task was asked of a model outside the scope that the model declares."""


class DataError(ArisError):
    """A data set for tuning or evaluation is missing, malformed or would leak between splits."""


class RecordError(ArisError):
    """A patient's record cannot be read, or is not the record of one patient."""


class StoreError(ArisError):
    """The store of studies cannot be opened, read or written."""


class NotFoundError(StoreError):
    """Error: nothing of the name or number that was asked for is in the store."""


class ConflictError(StoreError):
    """An act that does not fit where a study stands now, as the signature under what is signed already."""


class UnavailableError(StoreError):
    """The database cannot be read or written now."""


class ExchangeError(ArisError):
    """A document cannot be written or read, an object cannot be de-identified, or a peer cannot be reached."""


class LiteratureError(ArisError):
    """A paper or a library of papers cannot be read, or a library cannot be written."""


def is_full_disk(error: BaseException) -> bool:
    """Return whether the disk, a quota, or a limit on files left no room."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def why_not_imported(error: ImportError, *packages: str) -> str:
    """Say in a few words why an import of optional packages failed: one is not there, or is there and cannot be loaded.

    Args:
        packages: their top names, as they are imported.

    Raises:
        ImportError: the fault is in Aris itself, so that no package that is installed would help.
    """
    name = error.name or ""
    if name.partition(".")[0] == "aris":
        raise error
    if isinstance(error, ModuleNotFoundError) and name in packages:
        return f"{name} is not installed"
    lacking = f"{name} is missing" if isinstance(error, ModuleNotFoundError) and name else "it is damaged or too old"
    return f"{packages[0]} cannot be loaded: {lacking}"
