"""A site's settings: numbers to call, names, and whether a model may raise a level."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from aris.errors import DataError


class Site(BaseModel):
    """A site's settings. The defaults fit no place in particular: set at least the numbers.

    Attributes:
        clinic: its name, as patients know it.
        emergency_number: of the ambulance.
        crisis_line: for people who are suicidal, with its number.
        safeguarding_line: for people who are harmed by others, with its number.
        urgent_contact: who to turn to for care on the same day.
        model_raises: let the model raise the level at the end; it can never lower it.
        base_url: of the FHIR canonical addresses of this site's Questionnaires.
    """

    # "112" may stand without quotation marks.
    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True)

    clinic: str = Field(default="the clinic", min_length=1, max_length=200)
    emergency_number: str = Field(default="your local emergency number (112, 911 or 999)", min_length=1, max_length=200)
    crisis_line: str = Field(
        default="your local crisis line (988 in the USA, 116 123 in the UK and much of Europe)",
        min_length=1,
        max_length=200,
    )
    safeguarding_line: str = Field(
        default="your local helpline for people who are hurt by others", min_length=1, max_length=200
    )
    urgent_contact: str = Field(default="the clinic, or your local out-of-hours service", min_length=1, max_length=200)
    model_raises: bool = False
    base_url: str = Field(default="urn:aris:intake", min_length=1, max_length=200)


def read_site(path: str | Path) -> Site:
    """A site's settings from a YAML file.

    Raises:
        DataError: it cannot be read, or a setting is unknown or wrong.
    """
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise DataError(f'{path}: not YAML; give lines such as `emergency_number: "112"`') from None
    try:
        return Site.model_validate({} if content is None else content)
    except ValidationError as error:
        first = error.errors()[0]
        raise DataError(f"{path}: {'.'.join(map(str, first['loc'])) or 'settings'}: {first['msg']}") from None
