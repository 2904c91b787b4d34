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
    from aris.backends import Backend
    from aris.backends.resident.address import Wanted
    from aris.checkpoints.registry import ModelSpec
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
        if not self.remote and not self._may_be_served():
            from aris.backends.early import open_torch_library

            open_torch_library()
        # The default is this machine's; an endpoint has its own.
        self._remote_model = None if isinstance(model, DefaultName) else str(model)

    @property
    def spec(self) -> ModelSpec | None:
        """Return what is known of the model by its name, without loading it; None if nothing is."""
        from aris.checkpoints.registry import find

        return find(self.name)

    @property
    def remote(self) -> bool:
        """Return whether the model runs at an endpoint."""
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

    def load(self) -> Backend:
        """Load the model here, in a thread that nobody watches.

        Raises:
            CheckpointError, ModelError: it cannot be loaded.
        """
        if self._backend is None:
            self._backend = self._load()
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
        from aris.backends.early import without_collector

        with without_collector():
            from aris.backends import load

        return load(
            self.name, dtype=self._dtype, device=self._device, adapter=self._adapter, adapters=self._adapters,
            quantize=self._quantize, mmproj=self._mmproj,
        )  # fmt: skip

    def _may_be_served(self) -> bool:
        """Tell whether a server that runs already may have the model: none is asked yet."""
        from aris.backends.resident import address

        if self._here or self._adapters or servers_are_off():
            return False
        named = os.environ.get(address.ENVIRONMENT, "")
        return not address.is_off(named) and (address.is_url(named) or bool(address.sockets()))

    def _served(self) -> Backend | None:
        """The same model in a server that runs already: `ARIS_SERVER`, or the user's own resident one; None if none."""
        from aris.backends.resident import address

        named = os.environ.get(address.ENVIRONMENT, "")
        if not self._may_be_served():
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
        """Return the caution that must stand under everything that this model writes."""
        from aris.tasks.scope import caution

        return caution(self.backend)
