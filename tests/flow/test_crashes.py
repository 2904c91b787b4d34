"""kill -9 at random moments of a scripted flow: nothing acknowledged is lost, nothing signed changes, nothing is made
twice. The script goes on where the killed one stopped, as a worker and a reader do after a power cut."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import select
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from clinic import Clinic
from sqlalchemy import func
from sqlalchemy import select as choose

from aris.errors import StoreError
from aris.exchange.files import read_header
from aris.flow.arrival import collect, settle
from aris.flow.drafting import draft_next
from aris.flow.outgoing.delivery import deliver_next
from aris.store.checking import problems
from aris.store.reading import edits, readings, reports
from aris.store.reading.lasting_tables import DeliveryRow, ReportRow
from aris.store.reading.tables import DraftRow, EditRow, JobRow
from dicom_objects import ROOT, as_bytes, image

STUDIES = 5
# Longer than any lease: what a killed one held is free for the next.
SHIFT_MINUTES = 11


def script(folder: Path, url: str | None, shift: int, tell: Any) -> bool:
    """One pass over all that is to be done; whether all is. Each act is told when it was acknowledged."""
    clinic = Clinic(folder, url, quiet_s=0, destinations=[
        {"kind": "folder", "name": "out", "path": folder / "out", "formats": ["sr"]}
    ])  # fmt: skip
    clinic.later(minutes=shift * SHIFT_MINUTES)
    done = True
    for number in range(1, STUDIES + 1):
        uid = f"{ROOT}.{number}"
        clinic.store.add(as_bytes(image(1, study=number)), source="CT1")
        tell("stored", uid)
        clinic.later(seconds=2)
        collect(clinic.house)
        settle(clinic.house, clinic.now)
        while (made := draft_next(clinic.house, clinic.drafter, f"w{os.getpid()}", clinic.now)) is not None:
            assert made in ("drafted", "known", "lost"), made
        found = clinic.room.look("ana", uid)
        if found.text is None:
            done = False
            continue
        tell("drafted", uid)
        if found.text.author == edits.MODEL:
            saved = clinic.room.edit("ana", uid, {"impression": f"Text of {number}."}, found.reading.text_number)
            tell("edited", uid, saved.number)
        if found.reading.state not in readings.SIGNED:
            signed = clinic.sign(uid)
            tell("signed", uid, signed.digest)
        while deliver_next(clinic.house, f"w{os.getpid()}", clinic.now) is not None:
            pass
    with clinic.store.sessions.reading() as session:
        open_ones = choose(func.count()).select_from(DeliveryRow).where(DeliveryRow.state != "acknowledged")
        done = done and not session.scalar(open_ones)
    clinic.store.close()
    return done


def child(folder: Path, url: str | None, shift: int, pipe: int) -> None:
    def tell(*words: Any) -> None:
        os.write(pipe, (json.dumps(words) + "\n").encode())

    try:
        while True:
            try:
                if script(folder, url, shift, tell):
                    break
            except StoreError as error:  # the other one signed first
                if not any(words in str(error) for words in ("signed already", "the newest text is")):
                    raise
        tell("all", "")
    except BaseException as error:
        tell("error", repr(error))
    os._exit(0)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="fork and SIGKILL")
def test_kill_9_loses_nothing(tmp_path: Path, database_url: str | None, cheap_passwords: None) -> None:
    seed = int(os.environ.get("ARIS_CRASH_SEED", "0")) or random.SystemRandom().randrange(1 << 30)
    kills = int(os.environ.get("ARIS_CRASHES", "4"))
    rng = random.Random(seed)
    told: list[list[Any]] = []
    Clinic(tmp_path, database_url).store.close()
    fork = multiprocessing.get_context("fork")
    killed = 0
    for shift in range(kills + 1):
        reading, writing = os.pipe()
        # Two at once: they meet at the same studies.
        pair = [fork.Process(target=child, args=(tmp_path, database_url, shift, writing)) for _ in range(2)]
        for each in pair:
            each.start()
        os.close(writing)
        last = shift == kills
        until = time.monotonic() + (240 if last else rng.uniform(0.05, 1.6))
        kept = b""
        while time.monotonic() < until:
            if select.select([reading], [], [], max(until - time.monotonic(), 0))[0]:
                piece = os.read(reading, 65536)
                if not piece:
                    break
                kept += piece
        for each in pair:
            if each.is_alive() and each.pid is not None:
                killed += 1
                os.kill(each.pid, signal.SIGKILL)
            each.join()
        while piece := os.read(reading, 65536):
            kept += piece
        os.close(reading)
        told += [json.loads(line) for line in kept.split(b"\n")[:-1]]
    assert not [words for words in told if words[0] == "error"], seed
    assert ["all", ""] in told, f"seed {seed}: it did not come to an end"
    check(Clinic(tmp_path, database_url), told, tmp_path / "out", f"seed {seed}, {killed} killed")


def check(clinic: Clinic, told: list[list[Any]], out: Path, how: str) -> None:
    assert clinic.store.counts()["instances"] == STUDIES and problems(clinic.store) == [], how
    with clinic.store.sessions.reading() as session:
        assert clinic.house.trail.verify(session) == [], how
        for number in range(1, STUDIES + 1):
            uid = f"{ROOT}.{number}"
            reading = readings.require(session, uid)
            rows = reports.all_of(session, reading)
            assert len(rows) == 1 and reading.state == "final", how
            assert rows[0].content["text"]["impression"] == f"Text of {number}.", how
            signed = {words[2] for words in told if words[:2] == ["signed", uid]}
            assert signed <= {rows[0].digest}, how  # what was acknowledged is what is there
            edited = {words[2] for words in told if words[:2] == ["edited", uid]} - {None}
            kept = {each.number for each in edits.all_of(session, reading)}
            assert edited <= kept, how
            (file,) = (out / uid).iterdir()
            assert read_header(file).SOPInstanceUID == rows[0].document["uid"], how
            (document,) = reports.documents(session, rows[0].id, "sr")
            assert file.read_bytes() == document.data, how
        for table, most in ((DraftRow, STUDIES), (ReportRow, STUDIES), (JobRow, STUDIES), (DeliveryRow, STUDIES)):
            assert session.scalar(choose(func.count()).select_from(table)) == most, (table, how)
        by_model = choose(func.count()).select_from(EditRow).where(EditRow.author == edits.MODEL)
        assert session.scalar(by_model) == STUDIES, how
