"""QIDO-RS (PS3.18 10.6): the parameters of a search, and its results as DICOM JSON."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aris.exchange.dicomweb.metadata import described, to_json
from aris.exchange.dicomweb.opened import opened
from aris.exchange.dicomweb.problems import WebError
from aris.store.search import MATCHING_KEYS, Query, QueryError

if TYPE_CHECKING:
    from aris.store.store import Store

# Results of one answer; a caller pages on with `offset`.
MOST = {"studies": 1000, "series": 5000, "instances": 10_000}
# Matched, and returned only where a caller asks (PS3.18 tables 10.6.3-3 to 5 do not have them).
_ON_REQUEST = ("StudyDescription", "BodyPartExamined")
_LARGEST = 2**31
_LONGEST = 64 << 10


@dataclass
class Search:
    """A search as it was asked for.

    Attributes:
        level: "studies", "series" or "instances".
        query: for the store; one result more than is given out, to know whether there are more.
        limit: results at most.
        include: what is returned besides, tags as "0020000D"; "all" for everything.
        notes: what was not done as asked, for the Warning header.
    """

    level: str
    query: Query
    limit: int
    include: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)


def search(level: str, pairs: Sequence[tuple[str, str]], within: dict[str, str]) -> Search:
    """A search from the parameters of its URL.

    Args:
        within: UIDs that the path names, by keyword.

    Raises:
        WebError: 400, a key is not one that the level is searched by, or a number is none.
    """
    matches: dict[str, str] = {}
    numbers = {"limit": MOST[level], "offset": 0}
    found = Search(level, Query(), 0)
    for name, value in pairs:
        # Spaces of every script are text, as the wide one between the parts of a Japanese name.
        if not all(each.isprintable() or (each.isspace() and each > "\x85") for each in value) or len(value) > _LONGEST:
            raise WebError(400, "a value has control characters, or is too long")
        if name in numbers:
            if not re.fullmatch("[0-9]{1,10}", value):
                raise WebError(400, f"{name}: give a whole number")
            numbers[name] = min(int(value), _LARGEST)
        elif name == "includefield":
            found.include |= {_included(each) for each in value.split(",") if each}
        elif name in ("fuzzymatching", "emptyvaluematching", "multiplevaluematching"):
            if value.lower() not in ("true", "false"):
                raise WebError(400, f"{name}: true or false")
            if value.lower() == "true":
                found.notes.append(_UNSUPPORTED[name])
        elif name not in ("accept", "charset"):
            keyword = _keyword(name)
            # A list of UIDs may come as several parameters (PS3.18 8.3.4.1).
            several = keyword in matches and (keyword.endswith("UID") or keyword == "ModalitiesInStudy")
            if keyword in matches and not several:
                raise WebError(400, f"{keyword}: given twice")
            matches[keyword] = f"{matches[keyword]},{value}" if several else value
            # What is searched by is given out (PS3.18 10.6.3), also where it matches all.
            found.include.add(_included(keyword))
    for keyword, uid in within.items():
        asked = [each for each in re.split(r"[\\,]", matches.get(keyword, "")) if each]
        # A study that the path does not name is not within it: nothing matches "-".
        matches[keyword] = uid if not asked or uid in asked else "-"
    found.limit = min(numbers["limit"], MOST[level])
    found.query = Query(matches, found.limit + 1, numbers["offset"])
    return found


def results(store: Store, asked: Search, base: str) -> list[dict[str, Any]]:
    """Return a search's results as DICOM JSON; adds a note to the search where there is more.

    Args:
        base: the service's URL.

    Raises:
        WebError: 400, a key is not one that the level is searched by.
    """
    if asked.limit == 0:
        return []
    try:
        rows = store.search(asked.level, asked.query)
    except QueryError as error:
        raise WebError(400, str(error)) from None
    if len(rows) > asked.limit:
        asked.notes.append("There are additional results that can be requested")
    return [_result(store, asked, row, base) for row in rows[: asked.limit]]


def _result(store: Store, asked: Search, row: dict[str, Any], base: str) -> dict[str, Any]:
    made: dict[str, Any] = {"00080005": {"vr": "CS", "Value": ["ISO_IR 192"]}}
    everything = "all" in asked.include
    for keyword, value in row.items():
        tag, element = described(keyword, value)
        if keyword not in _ON_REQUEST or everything or tag in asked.include:
            made[tag] = element
    at = f"{base}/studies/{row['StudyInstanceUID']}"
    at += f"/series/{row['SeriesInstanceUID']}" if asked.level != "studies" else ""
    at += f"/instances/{row['SOPInstanceUID']}" if asked.level == "instances" else ""
    made |= dict([described("RetrieveURL", at), described("InstanceAvailability", "ONLINE")])
    # What the index does not have is in the object itself; of a study or series no one object speaks.
    if asked.level == "instances" and asked.include - made.keys():
        stored = store.find(row["SOPInstanceUID"])
        if stored is None:  # gone meanwhile
            return dict(sorted(made.items()))
        dataset = opened(store, stored).dataset
        header = to_json(dataset, "", row["AvailableTransferSyntaxUID"])
        made |= {
            tag: value for tag, value in header.items() if tag not in made and (everything or tag in asked.include)
        }
    return dict(sorted(made.items()))


_UNSUPPORTED = {
    "fuzzymatching": "The fuzzymatching parameter is not supported. Only literal matching has been performed.",
    "emptyvaluematching": (
        "The emptyvaluematching parameter is not supported. Empty Value Matching has not been performed."
    ),
    "multiplevaluematching": (
        "The multiplevaluematching parameter is not supported. Multiple Value Matching has not been performed."
    ),
}


def _tag(name: str) -> int | None:
    from pydicom.datadict import tag_for_keyword

    if re.fullmatch("[0-9A-Fa-f]{8}", name):
        return int(name, 16)
    return tag_for_keyword(name)


def _keyword(name: str) -> str:
    """An attribute's keyword, from its keyword or tag.

    A key that is not known is refused: a search that left it out would find others' studies too.
    """
    from pydicom.datadict import keyword_for_tag

    tag = _tag(name)
    keyword = "" if tag is None else keyword_for_tag(tag)
    if keyword not in MATCHING_KEYS:
        raise WebError(400, f"a parameter is not one to search by; there are {', '.join(MATCHING_KEYS)}")
    return keyword


def _included(name: str) -> str:
    if name == "all":
        return name
    # An attribute within a sequence comes with the whole sequence.
    tag = _tag(name.partition(".")[0])
    if tag is None:
        raise WebError(400, "includefield: an attribute is neither a tag nor a keyword of DICOM")
    return f"{tag:08X}"
