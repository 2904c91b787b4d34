"""Names in messages: what somebody typed is repeated; what lies inside it may be called after a patient.

Stderr is what ends in logs. A file inside a folder, an archive or a DICOMDIR is named on stdout, where the results are.
"""

from __future__ import annotations


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
    return message.removeprefix(f"{name}: ").replace(name, "it")
