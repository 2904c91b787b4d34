"""Groups of options that several commands share, each as one parameter of a command's function."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, get_type_hints

from aris.cli.options import patient_facts as known
from aris.cli.options import shared as o
from aris.cli.session import Session

if TYPE_CHECKING:
    from aris.backends import GenerationOptions
    from aris.tasks.film_facts import Facts


def with_groups(command: Callable[..., None]) -> Callable[..., None]:
    """Make a command of a function whose parameters may be groups: dataclasses whose fields are options.

    Typer sees each group's fields in its place, and the function gets the group.
    """
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {name: hint for name, hint in hints.items() if is_dataclass(hint)}
    parameters = []
    for parameter in inspect.signature(command).parameters.values():
        if parameter.name not in groups:
            kind = inspect.Parameter.KEYWORD_ONLY
            parameters.append(parameter.replace(kind=kind, annotation=hints[parameter.name]))
            continue
        group = groups[parameter.name]
        options = get_type_hints(group, include_extras=True)
        parameters += [
            inspect.Parameter(
                each.name, inspect.Parameter.KEYWORD_ONLY, default=each.default, annotation=options[each.name]
            )
            for each in fields(group)
        ]

    @functools.wraps(command)
    def run(**values: Any) -> None:
        for name, group in groups.items():
            values[name] = group(**{each.name: values.pop(each.name) for each in fields(group)})
        command(**values)

    del run.__wrapped__  # typer would look at its parameters
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return run


@dataclass(frozen=True)
class ModelOptions:
    """Options of the model that a command uses, here or at an endpoint."""

    model: o.ModelOption = "aris-nano"
    mmproj: o.MmprojOption = None
    backend_url: o.BackendOption = None
    adapter: o.AdapterOption = None
    quantize: o.QuantizeOption = None
    dtype: o.DtypeOption = "auto"
    device: o.DeviceOption = "auto"

    def session(self) -> Session:
        """Make the command's session; the model is loaded when it is first needed."""
        return Session(
            self.model,
            dtype=self.dtype,
            device=self.device,
            adapter=self.adapter,
            quantize=self.quantize,
            mmproj=self.mmproj,
            backend_url=self.backend_url,
        )


@dataclass(frozen=True)
class WritingOptions:
    """Options of a text that a model writes."""

    max_tokens: o.MaxTokensOption = None
    temperature: o.TemperatureOption = 0.0
    top_k: o.TopKOption = 0
    top_p: o.TopPOption = 1.0
    min_p: o.MinPOption = 0.0
    seed: o.SeedOption = None

    def generation(self, *, thinking: bool = False) -> GenerationOptions:
        """Return the options as the backend takes them; without `max_tokens` its default stays."""
        from aris.backends import GenerationOptions

        options = GenerationOptions(
            temperature=self.temperature,
            top_k=self.top_k,
            top_p=self.top_p,
            min_p=self.min_p,
            seed=self.seed,
            thinking=thinking,
        )
        return options if self.max_tokens is None else replace(options, max_tokens=self.max_tokens)


@dataclass(frozen=True)
class FilmOptions:
    """Options that state of a film what its file cannot."""

    age: known.AgeOption = None
    view: known.ViewOption = None

    def facts(self) -> Facts:
        """Return the facts that the options state."""
        return known.told(self.age, self.view)
