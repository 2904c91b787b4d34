"""Images to pixels: what a reader would see, with the facts that the file states."""

from aris.imaging.film import Film, read_film

__all__ = ["Film", "read_film"]
