"""Papers out of files: PubMed XML, MEDLINE, JATS, PDF, HTML, Markdown and JSON Lines, each by a reader of its own.

What a file holds is untrusted: entities and external DTDs are off, sizes are bounded, a PDF is taken apart in a process
of its own, and only regular files are opened.
"""

from aris.literature.readers.files import FORMATS, find_files, read_papers

__all__ = ["FORMATS", "find_files", "read_papers"]
