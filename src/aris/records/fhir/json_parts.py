"""JSON as bytes becomes resources, one at a time: the bytes stay as they are until a resource is wanted.

A bundle of 50 MB as Python objects is 300 MB and more. Here the file is skimmed for where its resources lie, and each
is decoded, converted and let go again.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from aris.errors import RecordError

DEPTH = 12  # bundles in bundles; more is an attack

Resource = dict[str, Any]


class Head(msgspec.Struct, gc=False):
    """The first things that one needs to know of a resource; anything may stand in them."""

    resourceType: Any = None  # noqa: N815
    id: Any = None


class _Listed(msgspec.Struct, gc=False, omit_defaults=True, rename={"for_": "for"}):
    """Elements of a resource that is only listed; the rest is skipped, which is most of a Synthea bundle."""

    resourceType: Any = None  # noqa: N815
    id: Any = None
    meta: Any = None
    status: Any = None
    code: Any = None
    subject: Any = None
    patient: Any = None
    beneficiary: Any = None
    individual: Any = None
    for_: Any = None
    date: Any = None
    created: Any = None
    authoredOn: Any = None  # noqa: N815
    authored: Any = None
    recordedDate: Any = None  # noqa: N815
    issued: Any = None
    sent: Any = None
    recorded: Any = None
    started: Any = None


class _Entry(msgspec.Struct, gc=False):
    fullUrl: Any = None  # noqa: N815
    resource: msgspec.Raw = msgspec.Raw()
    search: Any = None
    request: Any = None


class _Bundle(msgspec.Struct, gc=False):
    type: Any = None
    total: Any = None
    link: Any = None
    entry: msgspec.Raw = msgspec.Raw()


_HEAD = msgspec.json.Decoder(Head)
_ENTRY = msgspec.json.Decoder(_Entry)
_GOOD_ENTRIES = msgspec.json.Decoder(list[_Entry])
_ENTRIES = msgspec.json.Decoder(list[msgspec.Raw])
_BUNDLE = msgspec.json.Decoder(_Bundle)
_WHOLE = msgspec.json.Decoder()
_LISTED = msgspec.json.Decoder(_Listed)


@dataclass(slots=True)
class Part:
    """A resource where it lies.

    Attributes:
        raw: its bytes.
        head: its type and id.
        url: the entry's `fullUrl`, or empty.
        where: the file and the entry or line, for messages.
        deleted: whether a history says that it was deleted.
    """

    raw: msgspec.Raw | bytes
    head: Head
    url: str
    where: str
    deleted: bool = False

    def decode(self) -> Resource:
        """The resource as Python objects.

        Raises:
            RecordError: it is not UTF-8, holds a number that no computer can hold, or is nested too deeply.
        """
        return as_resource(self.raw, self.where)

    def decode_listed(self) -> Resource:
        """The few elements of a resource that is only listed; errors as `decode`."""
        try:
            return dict(msgspec.to_builtins(_LISTED.decode(self.raw)))
        except RecursionError:
            raise RecordError(f"{self.where}: it is nested too deeply to be a FHIR resource") from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise RecordError(f"{self.where}: {damage(error)}") from None


@dataclass(slots=True)
class Page:
    """A bundle's own facts.

    Attributes:
        type: "searchset" and so on, or empty.
        next: the address of the next page, or empty.
        own: the page's own address, or empty.
        where: the file or address.
        total: how many matches the server counts, or `None`.
        matches: how many entries are here that a search matched.
    """

    type: str
    next: str
    own: str
    where: str
    total: int | None = None
    matches: int = 0


def as_resource(raw: msgspec.Raw | bytes, where: str) -> Resource:
    """Decode one resource.

    Raises:
        RecordError: it is no JSON object, not UTF-8, nested too deeply, or holds NaN or a number out of range.
    """
    try:
        found = _WHOLE.decode(raw)
    except RecursionError:
        raise RecordError(f"{where}: it is nested too deeply to be a FHIR resource") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RecordError(f"{where}: {damage(error)}") from None
    if not isinstance(found, dict):
        raise RecordError(f"{where}: a FHIR resource is a JSON object, this is not one")
    return found


def damage(error: Exception) -> str:
    """Say in words what is wrong with JSON, without quoting it."""
    said = str(error)
    if "truncated" in said:
        return "the JSON ends too early; the file is truncated"
    if "UTF-8" in said:
        return "its text is not UTF-8; convert the file"
    if "out of range" in said:
        return "a number is out of range"
    where = said.rpartition("(byte ")[2].rstrip(")")
    return f"the JSON is damaged at byte {where}" if where.isdigit() else "the JSON is damaged"


def as_utf8(data: bytes, where: str) -> bytes:
    """The bytes without a byte order mark; UTF-16 and UTF-32 with one are converted.

    Raises:
        RecordError: the text is not what its mark says.
    """
    if data.startswith(codecs.BOM_UTF8):
        return data[3:]
    for mark, name in (
        (codecs.BOM_UTF32_LE, "utf-32"),
        (codecs.BOM_UTF32_BE, "utf-32"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if data.startswith(mark):
            try:
                return data.decode(name).encode()
            except UnicodeError:
                raise RecordError(f"{where}: its text is damaged {name.upper()}") from None
    return data


def head_of(raw: msgspec.Raw | bytes, where: str) -> Head:
    """The type and id of a resource.

    Raises:
        RecordError: it is no JSON object with a `resourceType`.
    """
    try:
        head = _HEAD.decode(raw)
    except RecursionError:
        raise RecordError(f"{where}: it is nested too deeply to be a FHIR resource") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        if isinstance(error, msgspec.ValidationError) and "Expected" in str(error):
            raise RecordError(f"{where}: a FHIR resource is a JSON object, this is not one") from None
        raise RecordError(f"{where}: {damage(error)}") from None
    if not isinstance(head.resourceType, str) or not head.resourceType.isascii() or not head.resourceType.isalpha():
        raise RecordError(f"{where}: it has no resourceType, so it is no FHIR resource")
    return head


def parts_of(
    raw: msgspec.Raw | bytes, where: str, *, url: str = "", depth: int = 0
) -> Iterator[Part | Page | RecordError]:
    """Give the resources of a bundle, of bundles in it, or the one resource that this is.

    What cannot be read of a bundle's entries is given as the error that says so; a bundle that is no bundle raises.

    Raises:
        RecordError: the JSON is damaged or no FHIR.
    """
    head = head_of(raw, where)
    if head.resourceType == "Bundle":
        yield from _entries(raw, where, depth)
    elif head.resourceType == "Parameters":
        yield from _parameters(raw, where, depth)
    else:
        yield Part(raw, head, url, where)


def _entries(raw: msgspec.Raw | bytes, where: str, depth: int) -> Iterator[Part | Page | RecordError]:
    if depth >= DEPTH:
        raise RecordError(f"{where}: bundles in bundles, {DEPTH} deep")
    entries: Sequence[_Entry | msgspec.Raw] = ()
    try:
        bundle = _BUNDLE.decode(raw)
        if len(bundle.entry):
            try:
                entries = _GOOD_ENTRIES.decode(bundle.entry)
            except msgspec.ValidationError:  # one of them is no object: each is looked at by itself
                entries = _ENTRIES.decode(bundle.entry)
    except RecursionError:
        raise RecordError(f"{where}: it is nested too deeply to be a FHIR bundle") from None
    except msgspec.ValidationError:
        raise RecordError(f"{where}: the bundle's entries are no list") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RecordError(f"{where}: {damage(error)}") from None
    kind = bundle.type if isinstance(bundle.type, str) else ""
    page = Page(kind, _link(bundle.link, "next"), _link(bundle.link, "self"), where)
    page.total = bundle.total if isinstance(bundle.total, int) and not isinstance(bundle.total, bool) else None
    page.matches = sum(map(_matches, entries)) if kind == "searchset" else len(entries)
    yield page
    for number, each in enumerate(entries):
        here = f"{where} entry {number + 1}"
        try:
            yield from _entry(each, here, depth)
        except RecordError as error:
            yield error


def _entry(raw: msgspec.Raw | _Entry, where: str, depth: int) -> Iterator[Part | Page | RecordError]:
    try:
        entry = raw if isinstance(raw, _Entry) else _ENTRY.decode(raw)
    except RecursionError:
        raise RecordError(f"{where}: it is nested too deeply to be a FHIR resource") from None
    except msgspec.ValidationError:
        raise RecordError(f"{where}: an entry of a bundle is a JSON object, this is not one") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RecordError(f"{where}: {damage(error)}") from None
    url = entry.fullUrl if isinstance(entry.fullUrl, str) else ""
    method = entry.request.get("method") if isinstance(entry.request, dict) else None
    if len(entry.resource):
        yield from parts_of(entry.resource, where, url=url, depth=depth + 1)
    elif method == "DELETE":
        named = entry.request.get("url")
        kind, _, id_ = (named if isinstance(named, str) else "").partition("/")
        yield Part(b"", Head(kind, id_), url, where, deleted=True)


def _matches(raw: msgspec.Raw | _Entry) -> bool:
    """Return whether an entry is a match of its search, not one that came along (an include, an outcome)."""
    try:
        search = raw.search if isinstance(raw, _Entry) else _ENTRY.decode(raw).search
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return True
    return not isinstance(search, dict) or search.get("mode") in (None, "match")


def _parameters(raw: msgspec.Raw | bytes, where: str, depth: int) -> Iterator[Part | Page | RecordError]:
    """Give the resources of the parameters that an operation returned."""
    if depth >= DEPTH:
        raise RecordError(f"{where}: bundles in bundles, {DEPTH} deep")
    whole = as_resource(raw, where)
    given = whole.get("parameter")
    for number, each in enumerate(given if isinstance(given, list) else []):
        if isinstance(each, dict) and isinstance(each.get("resource"), dict):
            encoded = msgspec.json.encode(each["resource"])
            yield from parts_of(encoded, f"{where} parameter {number + 1}", depth=depth + 1)


def _link(links: Any, relation: str) -> str:
    for link in links if isinstance(links, list) else []:
        if isinstance(link, dict) and link.get("relation") == relation and isinstance(link.get("url"), str):
            return str(link["url"])
    return ""
