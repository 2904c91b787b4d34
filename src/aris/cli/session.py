"""A command's model, loaded when it is first needed, and its words of caution."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from aris.cli.options.shared import DefaultName
from aris.cli.outcome import servers_are_off
from aris.cli.terminal import note, working
from aris.errors import ModelError

if TYPE_CHECKING:
    from aris.backends import Backend, GenerationOptions
    from aris.backends.resident.address import Wanted
    from aris.tasks.calibration.answers import Calibration

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
        mmproj: str | None = None,
        backend_url: str | None = None,
        here: bool = False,
    ) -> None:
        self.name = model
        self._here = here  # never by way of a server
        self._dtype, self._device, self._adapter, self._quantize = dtype, device, adapter, quantize
        self._adapters = adapters
        self._mmproj = mmproj
        self._url = backend_url
        self._backend: Backend | None = None
        self._gradients = False
        self._calibration: Calibration | None = None
        own = any((adapter, quantize, mmproj)) or (dtype, device) != ("auto", "auto")
        if backend_url is not None and own:
            raise typer.BadParameter(
                "--adapter, --quantize, --mmproj, --dtype and --device are the server's to choose",
                param_hint="--backend",
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
                from aris.backends.remote.backend import RemoteBackend

                self._backend = RemoteBackend(self._url, self._remote_model, os.environ.get(_KEY))
        elif self._backend is None:
            with working(f"loading {self.name}"):
                self._backend = self._served() or self._load()
        return self._backend

    @property
    def wanted(self) -> Wanted:
        """The model with its settings, as a resident server compares them."""
        from aris.backends.resident.address import Wanted

        return Wanted(str(self.name), self._dtype, self._device, self._adapter, self._quantize, self._mmproj)

    def need_gradients(self) -> None:
        """Say that an endpoint, which gives none, will not do."""
        self._gradients = True

    def _load(self) -> Backend:
        from aris.backends import load

        return load(
            self.name, dtype=self._dtype, device=self._device, adapter=self._adapter, adapters=self._adapters,
            quantize=self._quantize, mmproj=self._mmproj,
        )  # fmt: skip

    def _served(self) -> Backend | None:
        """The same model in a server that runs already: `ARIS_SERVER`, or the user's own resident one; None if none."""
        from aris.backends.resident import address

        named = os.environ.get(address.ENVIRONMENT, "")
        if self._here or self._adapters or servers_are_off() or address.is_off(named):
            return None
        if not address.is_url(named):
            from aris.backends.resident.backend import find_server

            return find_server(self.wanted, self._load)
        own = any((self._adapter, self._quantize, self._mmproj))
        plain = not own and (self._dtype, self._device) == ("auto", "auto")
        if not plain or self._gradients:
            return None
        from aris.backends.remote.backend import RemoteBackend

        try:
            return RemoteBackend(named.strip(), str(self.name), os.environ.get(_KEY), retries=0)
        except ModelError as error:
            if "cannot be reached" not in str(error):  # a wrong key or model is the user's to know
                note(f"{address.ENVIRONMENT}: {error}; the model is loaded here")
            return None

    def calibration(self, path: Path | None) -> Calibration | None:
        """A site's calibration for this model, read once; None for no path.

        Raises:
            CheckpointError: it cannot be read, or was made with another model.
        """
        if path is None:
            return None
        if self._calibration is None:
            from aris.tasks import load_calibration
            from aris.tasks.text.prompts import FINDING_QUESTION

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
