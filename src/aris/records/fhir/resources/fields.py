"""Parts of FHIR resources as values: dates, concepts, quantities, references. What is not as it should be is listed."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from html import unescape
from math import isfinite
from typing import Any

from aris.records.types import LOINC, RXNORM, SNOMED, UCUM, Coding, Concept, Patient, Problem, Quantity
from aris.records.when import When, parse_when

Resource = dict[str, Any]

_SYSTEMS = {
    "urn:oid:2.16.840.1.113883.6.1": LOINC,
    "urn:oid:2.16.840.1.113883.6.96": SNOMED,
    "urn:oid:2.16.840.1.113883.6.88": RXNORM,
    "urn:oid:2.16.840.1.113883.6.8": UCUM,
    "https://loinc.org": LOINC,
    "https://snomed.info/sct": SNOMED,
}
_COMPARATORS = ("<", "<=", ">=", ">", "ad")
_ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
_NOT_ID = re.compile(r"[^A-Za-z0-9\-._]")
TEXT_LIMIT = 1_000_000  # characters of one document; more is said, not read


class Fields:
    """Reads the parts of one resource after another, and lists their problems.

    Attributes:
        id: of the resource that is read, such as "Observation/1".
        problems: what was not as it should be, of all resources so far.
        people: the patients, by id.
    """

    def __init__(self, resolve: Callable[[str], str], problems: list[Problem]) -> None:
        """Make the reader.

        Args:
            resolve: gives "Type/id" for a reference's text, or the text itself where it leads nowhere here.
            problems: to append to.
        """
        self._resolve = resolve
        self.problems = problems
        self.id = ""
        self.people: dict[str, Patient] = {}
        self.contained: dict[str, Resource] = {}
        self._concepts: dict[tuple[str, tuple[tuple[str, str, str], ...]], Concept] = {}
        self._codings: dict[tuple[str, str, str], Coding] = {}

    def odd(self, what: str) -> None:
        """List a problem of the resource that is read."""
        self.problems.append(Problem(self.id, what))

    def text(self, resource: Resource, name: str) -> str:
        """A string on one line; empty where there is none or it is none."""
        value = resource.get(name)
        if value is None:
            return ""
        if not isinstance(value, str):
            self.odd(f"{name} is no text; it was not read")
            return ""
        return one_line(value)

    def status(self, resource: Resource, name: str = "status") -> str:
        """A status code in lower case; "unknown" where there is none."""
        return self.text(resource, name).lower() or "unknown"

    def objects(self, resource: Resource, name: str) -> Iterator[Resource]:
        """The objects of a list; a single object counts as a list of one, all else is listed."""
        value = resource.get(name)
        if value is None:
            return
        if isinstance(value, dict):
            self.odd(f"{name} should be a list; its one entry was read")
            value = [value]
        if not isinstance(value, list):
            self.odd(f"{name} is no list; it was not read")
            return
        for each in value:
            if isinstance(each, dict):
                yield each
            elif each is not None:
                self.odd(f"{name} holds something that is no object; it was not read")

    def object(self, resource: Resource, name: str) -> Resource:
        """An object; empty where there is none or it is none."""
        value = resource.get(name)
        if value is None or isinstance(value, dict):
            return value or {}
        self.odd(f"{name} is no object; it was not read")
        return {}

    def when(self, resource: Resource, name: str) -> When | None:
        """A date or time; `None` where there is none or it cannot be read."""
        value = resource.get(name)
        if value is None:
            return None
        when = parse_when(value) if isinstance(value, str) else None
        if when is None:
            self.odd(f"{name} is no FHIR date; the time is unknown")
        return when

    def period(self, resource: Resource, name: str) -> tuple[When | None, When | None]:
        """Start and end of a period. An end before the start is listed, and both are kept."""
        period = self.object(resource, name)
        start, end = self.when(period, "start"), self.when(period, "end")
        if start and end and end.end < start.start:
            self.odd(f"{name} ends before it begins")
        return start, end

    def span(self, resource: Resource, stem: str) -> tuple[When | None, When | None]:
        """Start and end of "stem[x]": a dateTime, an instant, a period, or a timing (see `timing`)."""
        for kind in ("DateTime", "Instant", "Date"):
            if stem + kind in resource:
                return self.when(resource, stem + kind), None
        if stem + "Period" in resource:
            return self.period(resource, stem + "Period")
        if stem + "Timing" in resource:
            return self.timing(self.object(resource, stem + "Timing"))
        return None, None

    def timing(self, timing: Resource) -> tuple[When | None, When | None]:
        """Start and end of a Timing: its bounds, else its first and last event."""
        repeat = self.object(timing, "repeat")
        if "boundsPeriod" in repeat:
            return self.period(repeat, "boundsPeriod")
        events = timing.get("event")
        given = [parse_when(each) for each in events if isinstance(each, str)] if isinstance(events, list) else []
        found = sorted((each for each in given if each is not None), key=lambda each: each.start)
        return (found[0], found[-1] if len(found) > 1 else None) if found else (None, None)

    def number(self, value: Any, name: str) -> float | None:
        """A finite number; all else is listed."""
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.odd(f"{name} is no number; it was not read")
            return None
        try:
            number = float(value)
        except OverflowError:
            number = float("inf")
        if not isfinite(number):
            self.odd(f"{name} is out of range; it was not read")
            return None
        return number

    def quantity(self, resource: Resource, name: str) -> Quantity | None:
        """A quantity; `None` where there is none."""
        if resource.get(name) is None:
            return None
        given = self.object(resource, name)
        comparator = self.text(given, "comparator")
        if comparator and comparator not in _COMPARATORS:
            self.odd(f"{name} has a comparator that FHIR does not know; the number was not read")
            return Quantity(None, self.unit(given)[0], "")
        return Quantity(self.number(given.get("value"), name), self.unit(given)[0], comparator)

    def unit(self, quantity: Resource) -> tuple[str, str]:
        """(the UCUM code, else the unit's text; the unit's text) of a quantity."""
        said, code = self.text(quantity, "unit"), self.text(quantity, "code")
        ucum = _system(quantity.get("system")) == UCUM
        return (code if code and (ucum or not said) else said), said

    def concept(self, resource: Resource, name: str) -> Concept | None:
        """A CodeableConcept (or a bare Coding); `None` where there is none."""
        value = resource.get(name)
        if value is None:
            return None
        if isinstance(value, list):
            self.odd(f"{name} should be one concept; the first was read")
            value = value[0] if value else None
        if not isinstance(value, dict):
            self.odd(f"{name} is no concept; it was not read")
            return None
        return self.as_concept(value, name)

    def concepts(self, resource: Resource, name: str) -> tuple[Concept, ...]:
        """The CodeableConcepts of a list."""
        if name not in resource:
            return ()
        found = (self.as_concept(each, name) for each in self.objects(resource, name))
        return tuple(each for each in found if each is not None)

    def as_concept(self, value: Resource, name: str) -> Concept | None:
        """The concept that a CodeableConcept or a Coding states; `None` for an empty one."""
        given = value.get("coding")
        codings = given if isinstance(given, list) else [given] if isinstance(given, dict) else []
        if given is not None and not isinstance(given, list):
            self.odd(f"{name}.coding should be a list")
        if given is None and ("code" in value or "display" in value):
            codings = [value]
        keys = []
        for each in codings:
            if not isinstance(each, dict):
                self.odd(f"{name}.coding holds something that is no object; it was not read")
                continue
            code, display = each.get("code"), each.get("display")
            if not isinstance(code, str | None) or not isinstance(display, str | None):
                self.odd(f"{name}.coding has a code or a name that is no text; it was not read")
                continue
            if code or display:
                keys.append((_system(each.get("system")), (code or "").strip(), one_line(display or "")))
        words = value.get("text")
        if words is not None and not isinstance(words, str):
            self.odd(f"{name}.text is no text; it was not read")
            words = ""
        key = (words or "", tuple(keys))
        found = self._concepts.get(key)
        if found is None:
            shown = one_line(words or "") or next((k[2] for k in keys if k[2]), "") or next((k[1] for k in keys), "")
            if not shown:
                return None
            found = Concept(shown, tuple(self._codings.setdefault(k, Coding(*k)) for k in keys))
            self._concepts[key] = found
        return found

    def codes(self, resource: Resource, name: str) -> tuple[str, ...]:
        """The codes of a list of concepts, the words where there is no code."""
        return tuple(
            c.codings[0].code if c.codings and c.codings[0].code else c.text for c in self.concepts(resource, name)
        )

    def reference(self, resource: Resource, name: str) -> str:
        """The id that a reference leads to, such as "Patient/1"; the display or "" where it leads nowhere."""
        value = resource.get(name)
        return "" if value is None else self.refer(value, name)

    def references(self, resource: Resource, name: str) -> tuple[str, ...]:
        """The ids that a list of references leads to."""
        if name not in resource:
            return ()
        return tuple(found for each in self.objects(resource, name) if (found := self.refer(each, name)))

    def refer(self, value: Any, name: str) -> str:
        """The id that a Reference leads to, or ""."""
        if not isinstance(value, dict) or not isinstance(value.get("reference", ""), str):
            self.odd(f"{name} is no reference; it was not read")
            return ""
        target = value.get("reference", "")
        if target.startswith("#"):
            return f"{self.id.partition('#')[0]}{target}" if len(target) > 1 else self.id.partition("#")[0]
        if target:
            return self._resolve(target)
        identifier = value.get("identifier")
        if isinstance(identifier, dict) and isinstance(identifier.get("value"), str):
            return self._resolve(f"?identifier={identifier.get('system') or ''}|{identifier['value']}")
        return ""

    def name_of(self, resource: Resource, name: str) -> str:
        """The display of a reference, else the id that it leads to."""
        value = resource.get(name)
        shown = one_line(value["display"]) if isinstance(value, dict) and isinstance(value.get("display"), str) else ""
        return shown or self.reference(resource, name)

    def remarks(self, resource: Resource) -> tuple[str, ...]:
        """The texts of a list of annotations."""
        if "note" not in resource:
            return ()
        return tuple(t for each in self.objects(resource, "note") if (t := self.text(each, "text")))

    def attachment(self, attachment: Resource) -> tuple[str, str]:
        """(the words of an attachment, or the kind of one that is not read)."""
        kind = self.text(attachment, "contentType").lower() or "a kind that is not said"
        data = attachment.get("data")
        plain = kind.startswith("text/") or kind.startswith(("application/xhtml", "a kind"))
        if not isinstance(data, str) or not plain or kind.startswith("text/rtf"):
            return "", kind
        try:
            raw = base64.b64decode("".join(data.split()), validate=True)
        except (binascii.Error, ValueError):
            self.odd("an attachment is no base64; it was not read")
            return "", kind
        try:
            text = raw.decode("utf-8-sig")
        except UnicodeDecodeError:
            if "charset" not in kind:
                self.odd("an attachment's text is not UTF-8; it was not read")
                return "", kind
            try:
                text = raw.decode(kind.partition("charset=")[2].strip("\"' ;") or "utf-8")
            except (LookupError, UnicodeDecodeError):
                self.odd("an attachment's text is not in the character set that it names; it was not read")
                return "", kind
        if "html" in kind or "xml" in kind:
            text = plain_text(text)
        if len(text) > TEXT_LIMIT:
            self.odd(f"an attachment has more than {TEXT_LIMIT:,} characters; the rest was not read")
            text = text[:TEXT_LIMIT]
        return clean(text), ""

    def absence(self, resource: Resource, name: str) -> str:
        """The reason why a primitive is missing (the data-absent-reason extension of `_name`), or empty."""
        extra = resource.get("_" + name)
        given = extra.get("extension") if isinstance(extra, dict) else None
        for each in given if isinstance(given, list) else []:
            if isinstance(each, dict) and each.get("url") == _ABSENT and isinstance(each.get("valueCode"), str):
                return str(each["valueCode"])
        return ""


def good_id(text: str) -> str:
    """Return an id with nothing in it that FHIR does not allow there."""
    return _NOT_ID.sub("-", text)[:256]


def one_line(text: str) -> str:
    """Return text on one line, without characters that cannot be printed."""
    if text.isprintable() and "  " not in text and text.strip() == text:
        return text
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def clean(text: str) -> str:
    """Return text with its lines, without control characters."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    shown = ("".join(c if c.isprintable() or c == "\t" else " " for c in line).rstrip() for line in lines)
    return "\n".join(shown).strip()


def _system(value: Any) -> str:
    if not isinstance(value, str):
        return ""
    value = value.strip().rstrip("/")
    return _SYSTEMS.get(value, value)


_BLOCKS = frozenset((
    "p", "div", "br", "li", "tr", "table", "h1", "h2", "h3", "h4", "h5", "h6", "section", "text", "item",
    "paragraph", "caption", "title",
))  # fmt: skip
# What is no text for a reader, up to where it ends.
_RAW = {
    name: re.compile(ends, re.IGNORECASE)
    for name, ends in (("script", "</script"), ("style", "</style"), ("head", "</head|<body"))
}
_TAG_NAME = re.compile(r"/?([A-Za-z][^\s/>]{0,32})")


def plain_text(markup: str) -> str:
    """Return the words of HTML or XML, a line for each block; in time that grows with the length alone, however broken.

    (Python's own parser takes time with the square of the length of unfinished tags, and raises at some of them.)
    """
    lines = (" ".join(line.split()) for line in "".join(_pieces(markup[: 4 * TEXT_LIMIT])).split("\n"))
    return "\n".join(line for line in lines if line)


def _pieces(markup: str) -> Iterator[str]:
    at, comments = 0, True
    while (opens := markup.find("<", at)) >= 0:
        yield unescape(markup[at:opens])
        at = opens + 1
        if comments and markup.startswith("!--", at):
            end = markup.find("-->", at + 3)
            comments = end >= 0  # one that does not end hides nothing
            at = end + 3 if comments else at + 3
            continue
        if not (markup[at : at + 1].isalpha() or markup[at : at + 1] in ("/", "!", "?")):
            yield "<"
            continue
        end = markup.find(">", at)
        if end < 0:
            break
        found = _TAG_NAME.match(markup, at, end)
        name = found[1].lower() if found else ""
        empty = markup[end - 1] == "/"
        at = end + 1
        if name in _BLOCKS:
            yield "\n"
        elif name in ("td", "th"):
            yield " "
        elif name in _RAW and not empty and markup[opens + 1] != "/":
            closes = _RAW[name].search(markup, at)
            at = closes.start() if closes else len(markup)
    yield unescape(markup[at:])
