"""The command line: `aris`. Each command parses, calls and prints; the work is done in the rooms below."""

from aris.cli.app import app, main

__all__ = ["app", "main"]
