"""`--evidence DIR`: where maps are written, and what is said of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from aris.cli.session import Session
from aris.cli.terminal import one_line, write
from aris.errors import ArisError

if TYPE_CHECKING:
    from aris.imaging import Film
    from aris.tasks import Case, Evidence


class Maps:
    """The folder of one command's maps.

    Attributes:
        wanted: whether there is one.
    """

    def __init__(self, folder: Path | None, session: Session) -> None:
        self._folder = folder
        self.wanted = folder is not None
        self._names: dict[str, int] = {}
        if self.wanted and session.remote:
            raise typer.BadParameter(
                "an endpoint gives no gradients, so there are no maps; run the model here (without --backend)",
                param_hint="--evidence",
            )
        if self.wanted:
            session.need_gradients()
        if folder is not None:
            # Before any work: a folder that cannot be had costs no draft.
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                reason = error.strerror or "the path is not valid"
                raise ArisError(f"{folder}: cannot be made ({reason}); choose another folder") from None

    def save(self, found: Sequence[Evidence] | None, what: Case | Film) -> tuple[Evidence, ...] | None:
        """Write maps; the same evidence with the names of its files."""
        if found is None or self._folder is None:
            return None
        from aris.tasks import save_evidence
        from aris.tasks.evidence import file_stem

        # Films of one name in several folders do not replace one another.
        stem = file_stem(str(what.source))
        count = self._names[stem] = self._names.get(stem, 0) + 1
        name = stem if count == 1 else f"{stem}-{count}"
        return tuple(save_evidence(each, what, self._folder, name) for each in found)

    def tell(self, found: Sequence[Evidence] | None) -> None:
        """Print one line for each map, on stdout."""
        for each in found or ():
            about = one_line(each.about if len(each.about) <= 60 else f"{each.about[:57]}...")
            if not each.assessed:
                write(f"  evidence of {about}: {one_line(each.note)}\n", raw=True)
                continue
            sides = ", ".join(dict.fromkeys(side for side in each.sides if side in ("left", "right")))
            where = f" on the patient's {sides}" if sides and "midline" not in each.sides else ""
            write(f"  evidence of {about}, for {each.explains}{where}: {one_line(each.overlay_file or '')}\n", raw=True)
