"""The files that a model is made of, found by its name without opening any. Imports no PyTorch."""

from __future__ import annotations

from pathlib import Path

from aris.checkpoints import embedded, pull, registry

_PARTS_OF_FOLDERS = (".json", ".safetensors", ".jinja", ".model")


def source_files(
    name: str, *, revision: str | None = None, mmproj: str | Path | None = None
) -> tuple[Path, ...]:
    """Every file that `open_checkpoint` would read of a model, in a fixed order.

    Args:
        name, revision: as for `open_checkpoint`.
        mmproj: the file of a GGUF model's vision tower, where one is named.

    Raises:
        CheckpointError: there is no such model on this machine.
        OSError: a folder cannot be read.
    """
    spec = registry.find(name)
    if spec is not None and spec.name == embedded.NAME:
        own = embedded.files()
        return (*embedded.parts(), *sorted(path for path in own.rglob("*") if path.suffix in _PARTS_OF_FOLDERS))
    path = Path(name).expanduser()
    if spec is None and path.suffix.lower() == ".gguf":
        if mmproj is not None:
            return path, Path(mmproj).expanduser()
        return (path, *(each for each in files_beside(name) if "mmproj" in each.name.lower()))
    folder = path if spec is None and path.is_dir() else pull.local_folder(name, spec, revision=revision)
    return tuple(sorted(each for each in folder.iterdir() if each.suffix in _PARTS_OF_FOLDERS))


def files_beside(name: str) -> list[Path]:
    """Other GGUF files in the folder of one, any of which may turn out to be its vision tower."""
    path = Path(name).expanduser()
    if path.suffix.lower() != ".gguf" or not path.parent.is_dir():
        return []
    return sorted(each for each in path.parent.iterdir() if each.suffix.lower() == ".gguf" and each != path)
