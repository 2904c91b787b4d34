"""A command's model, loaded when it is first needed, and its words of caution."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from aris.cli.options import DefaultName
from aris.cli.terminal import working

if TYPE_CHECKING:
    from aris.backends import Backend, GenerationOptions
    from aris.tasks.calibration import Calibration

_KEY = "ARIS_BACKEND_API_KEY"


class Session:
    """Loads the model once, at the first file that can be read: a wrong file name costs no waiting."""

    def __init__(
        self,
        model: str,
        *,
        dtype: str,
        device: str,
        adapter: str | None,
        adapters: dict[str, str] | None = None,
        quantize: str | None = None,
        backend_url: str | None = None,
    ) -> None:
        self.name = model
        self._dtype, self._device, self._adapter, self._quantize = dtype, device, adapter, quantize
        self._adapters = adapters
        self._url = backend_url
        self._backend: Backend | None = None
        self._calibration: Calibration | None = None
        own = adapter is not None or quantize is not None or (dtype, device) != ("auto", "auto")
        if backend_url is not None and own:
            raise typer.BadParameter(
                "--adapter, --quantize, --dtype and --device are the server's to choose", param_hint="--backend"
            )
        # The default is this machine's; an endpoint has its own.
        self._remote_model = None if isinstance(model, DefaultName) else str(model)

    @property
    def remote(self) -> bool:
        """Whether the model runs at an endpoint."""
        return self._url is not None

    @property
    def backend(self) -> Backend:
        """The model, ready to run.

        Raises:
            CheckpointError, ModelError: it cannot be loaded.
        """
        if self._backend is None and self._url is not None:
            with working(f"asking {self._url}"):
                from aris.backends.remote import RemoteBackend

                self._backend = RemoteBackend(self._url, self._remote_model, os.environ.get(_KEY))
        elif self._backend is None:
            with working(f"loading {self.name}"):
                from aris.backends import load

                self._backend = load(
                    self.name, dtype=self._dtype, device=self._device, adapter=self._adapter, adapters=self._adapters,
                    quantize=self._quantize,
                )  # fmt: skip
        return self._backend

    def calibration(self, path: Path | None) -> Calibration | None:
        """A site's calibration for this model, read once; None for no path.

        Raises:
            CheckpointError: it cannot be read, or was made with another model.
        """
        if path is None:
            return None
        if self._calibration is None:
            from aris.tasks import load_calibration
            from aris.tasks.prompts import FINDING_QUESTION

            self._calibration = load_calibration(path, self.backend.name, FINDING_QUESTION, self.backend.changes)
        return self._calibration

    @property
    def caution(self) -> str:
        """What must stand under everything that this model writes."""
        from aris.tasks.scope import caution

        return caution(self.backend)


def generation_options(
    *, temperature: float, top_k: int, top_p: float, min_p: float, seed: int | None, max_tokens: int | None = None,
    thinking: bool = False,
) -> GenerationOptions:  # fmt: skip
    """The options of the command line as the backend takes them."""
    from aris.backends import GenerationOptions

    options = GenerationOptions(
        temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p, seed=seed, thinking=thinking
    )
    if max_tokens is None:
        return options
    from dataclasses import replace

    return replace(options, max_tokens=max_tokens)
