"""Evidence, answers, templates and models as the pages get them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from aris.service.workspace.schemas.common import Sent, Taken

Uid = Annotated[str, Field(max_length=64, pattern=r"^[0-9.]+$")]


class EvidenceRegion(Sent):
    """A box in pixels of the stored image."""

    label: str
    box: tuple[float, float, float, float]
    image: str
    frame: int | None
    probability: float | None
    note: str


class EvidenceOnImage(Sent):
    """Evidence on one image for a statement. `map` is the address of a PNG of the stored image's shape."""

    about: str
    assessed: bool
    note: str
    image: str
    frame: int | None
    regions: list[EvidenceRegion]
    sides: list[str]
    shares: list[float]
    map: str | None
    warnings: list[str]


class Regenerate(Taken):
    """A note that a reader adds for the model to know: data, never an instruction."""

    hint: str = Field(default="", max_length=300)


class Regenerated(Sent):
    """A section written anew; it is not kept."""

    section: str
    text: str
    warnings: list[str]


class Ask(Taken):
    """A question about images of a study; about those of its draft where none is named."""

    question: str = Field(min_length=1, max_length=2000)
    images: list[Uid] = Field(default=[], max_length=4000)


class Answered(Sent):
    """An answer; `answered` is False where it only says why there is none."""

    question: str
    answer: str
    answered: bool
    warnings: list[str]
    model: str
    caution: str


class Template(Sent):
    """A report template. `own`: the site's, not ours. `normal`: of the one-key path."""

    id: str
    name: str
    modality: str
    sections: dict[str, str]
    own: bool
    normal: bool


class Macro(Sent):
    """A name that stands for a text."""

    name: str
    text: str


class NewMacro(Taken):
    """A macro of the site."""

    name: str = Field(min_length=1, max_length=64)
    text: str = Field(min_length=1, max_length=8000)


class ModelInfo(Sent):
    """A model. Memory in bytes; speed in tokens a second."""

    name: str
    revision: str
    loaded: bool
    caution: str
    card: str
    memory: int | None
    tokens_per_s: float | None
    device: str
    scope: list[str]
    quantization: str
