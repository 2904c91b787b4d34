"""Names in messages: what somebody typed is repeated; what lies inside it may be called after a patient.

Stderr is what ends in logs. A file inside a folder, an archive or a DICOMDIR is named on stdout, where the results are.
"""

from __future__ import annotations

from aris.cli.terminal import one_line


def inside(message: str, name: str, typed: str) -> str:
    """A message about a file for stderr.

    Args:
        message: which may begin with or hold the file's name.
        name: of the file.
        typed: what was given on the command line: the file itself, or what it lies in.
    """
    if name == typed:
        return message
    return f"{typed}: a file in it: {without(message, name)}"


def without(message: str, name: str) -> str:
    """A message without the name of the file that it is about."""
    for form in _forms(name):
        message = message.removeprefix(f"{form}: ").replace(form, "it")
    return message


def _forms(name: str) -> list[str]:
    """A name in every form in which a message may have it.

    As it is, made printable in either way, and without its folder. Bytes that are no UTF-8 are written otherwise by
    each of them.
    """
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in name)
    whole = dict.fromkeys([name, shown, one_line(name), name.encode("utf-8", "replace").decode(), ascii(name)[1:-1]])
    ends = dict.fromkeys(each.rpartition("/")[2] for each in whole)
    return [each for each in (*whole, *ends) if len(each) > 2]
