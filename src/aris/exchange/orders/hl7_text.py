"""HL7 v2 messages as text: their bytes by MSH-18, their fields without surprises, their acknowledgements."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

from aris.errors import ExchangeError

if TYPE_CHECKING:
    import hl7

# HL7 table 0211, alternate character sets.
_CHARSETS = {
    "ASCII": "ascii", "UNICODE UTF-8": "utf-8", "UNICODE UTF-16": "utf-16", "8859/1": "iso-8859-1",
    "8859/2": "iso-8859-2", "8859/3": "iso-8859-3", "8859/4": "iso-8859-4", "8859/5": "iso-8859-5",
    "8859/6": "iso-8859-6", "8859/7": "iso-8859-7", "8859/8": "iso-8859-8", "8859/9": "iso-8859-9",
    "8859/15": "iso-8859-15", "GB 18030-2000": "gb18030", "BIG-5": "big5", "ISO IR87": "iso2022_jp",
}  # fmt: skip
NAMES = {"utf-8": "UNICODE UTF-8", "iso-8859-1": "8859/1", "ascii": "ASCII"}
_ESCAPES = {"\\": "\\E\\", "|": "\\F\\", "^": "\\S\\", "&": "\\T\\", "~": "\\R\\"}


class Hl7Error(ExchangeError):
    """A message is no HL7 v2, or not one that is taken."""


def library() -> Any:
    """The package `hl7`.

    Raises:
        ExchangeError: it is not installed.
    """
    try:
        import hl7
    except ImportError:
        raise ExchangeError("HL7 v2 needs hl7, which is not installed; pip install 'aris-medgemma[hl7]'") from None
    return hl7


def charset_of(data: bytes) -> str:
    """The character set that a message names in MSH-18, as Python calls it.

    Raises:
        Hl7Error: it is no message, or a character set that is not known.
    """
    head = data.removeprefix(b"\xef\xbb\xbf")
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    if not head.startswith(b"MSH") or len(head) < 8:
        raise Hl7Error("HL7: not a message: it does not begin with MSH")
    fields = re.split(rb"[\r\n]", head, maxsplit=1)[0].split(head[3:4])
    # MSH-1 is the separator itself. The first repetition is that of the message.
    named = fields[17].split(head[5:6])[0].decode("ascii", "replace").strip().upper() if len(fields) > 17 else ""
    if named in _CHARSETS:
        return _CHARSETS[named]
    if named:
        raise Hl7Error(f"HL7: character set {named!r:.30} of MSH-18 is not known; UNICODE UTF-8 is")
    # Without a name it is ASCII by the standard, and in practice what the sender's system had.
    try:
        head.decode("utf-8")
        return "utf-8"
    except UnicodeDecodeError:
        return "cp1252"


def parse(data: bytes) -> hl7.Message:
    """A message.

    Raises:
        Hl7Error: it is none, or not in the character set that it names.
        ExchangeError: the package `hl7` is not installed.
    """
    charset = charset_of(data)
    try:
        text = data.decode(charset).removeprefix("\ufeff")
    except UnicodeDecodeError:
        raise Hl7Error(f"HL7: the message is not in the character set that MSH-18 names ({charset})") from None
    lines = [line for line in re.split(r"\r\n|\r|\n", text) if line.strip()]
    try:
        return library().parse("\r".join(lines) + "\r")
    except ExchangeError:
        raise
    except Exception:  # the package raises many kinds
        raise Hl7Error("HL7: the message cannot be parsed") from None


def segments(message: Any, name: str) -> list[Any]:
    """A message's segments of a name."""
    return [each for each in message if str(each[0]) == name]


def value(message: Any, segment: Any, field: int, component: int = 1, *, repetition: int = 1, sub: int = 1) -> str:
    """A value, unescaped; "" where there is none. Numbers begin at 1; of what has no parts the first is the whole."""
    try:
        found = segment[field]
        for index in (repetition, component, sub):
            if isinstance(found, str):
                if index != 1:
                    return ""
                continue
            found = found[index - 1]
        text = found if isinstance(found, str) else str(found)
    except (IndexError, KeyError, TypeError):
        return ""
    return _unescaped(message, text).strip()


def repetitions(segment: Any, field: int) -> int:
    """Count how often a field is given."""
    try:
        found = segment[field]
    except (IndexError, KeyError):
        return 0
    return 1 if isinstance(found, str) else len(found)


def _unescaped(message: Any, text: str) -> str:
    if text == '""':  # HL7's explicit nothing
        return ""
    if "\\" not in text:
        return text
    text = re.sub(r"\\\.(br|sp)[^\\]*\\", "\n", text)
    try:
        return str(message.unescape(text)).replace("\0", "")  # which PostgreSQL keeps in no text
    except Exception:  # an escape that is none
        return text


def escaped(text: str) -> str:
    """A text as a field has it; lines are parted by the formatting command that breaks them."""
    return "\\.br\\".join("".join(_ESCAPES.get(each, each) for each in line) for line in text.splitlines())


def moment(when: datetime) -> str:
    """A time stamp (TS)."""
    return when.strftime("%Y%m%d%H%M%S%z")


def acknowledgement(data: bytes, code: str, text: str = "") -> bytes:
    """The answer to a message: AA (taken), AE (wrong) or AR (not now), in its character set.

    Args:
        text: why; no patient's data.
    """
    try:
        message, charset = parse(data), charset_of(data)
        header = segments(message, "MSH")[0]
        fields = [value(message, header, number) for number in range(3, 13)]
        trigger = value(message, header, 9, 2)
    except (ExchangeError, IndexError):
        fields, charset, trigger = [""] * 10, "ascii", ""
    application, facility, to_application, to_facility = map(escaped, fields[:4])
    control, processing, version = escaped(fields[7]), fields[8] or "P", fields[9] or "2.5.1"
    lines = [
        f"MSH|^~\\&|{to_application}|{to_facility}|{application}|{facility}|{moment(datetime.now().astimezone())}||"
        f"ACK{f'^{trigger}' if trigger else ''}|A{control}|{processing}|{version}||||||{NAMES.get(charset, '')}",
        f"MSA|{code}|{control}{f'|{escaped(text)}' if text else ''}",
    ]
    return ("\r".join(lines) + "\r").encode(charset, "replace")
