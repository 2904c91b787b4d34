"""Seconds from opening an undrafted film to the first word of its draft, over HTTP, with aris-nano loaded.

    python benchmarks/workspace_first_token.py [--films N] [--beside]

Films are the project's own of children (`ARIS_DATA`, chest_pediatric). `--beside` keeps a draft of the worker in
progress meanwhile. Each film is opened once, undrafted: the request that a page sends, to the first "piece" of the
findings. The server, the pages' session and the model run in this process.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import tempfile
import threading
import time
from pathlib import Path

import httpx2
import numpy as np
import uvicorn
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

import aris
from aris.flow.arrival import collect
from aris.flow.drafter import ModelDrafter
from aris.flow.drafting import draft_next
from aris.flow.house import open_house
from aris.flow.settings import SiteSettings
from aris.service.workspace.app import create_workspace
from aris.service.workspace.drafts.live import LiveDrafts
from aris.store.store import Store

DATA = Path(os.environ.get("ARIS_DATA", "../shared/data"))
PASSWORD = "a long enough password"


def film(number: int) -> tuple[str, bytes]:
    """One of the project's films of children as a DX, as a clinic's machine sends it."""
    picture = sorted((DATA / "chest_pediatric" / "images").iterdir())[number]
    pixels = np.asarray(Image.open(picture).convert("L"))
    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, "1.2.840.10008.5.1.4.1.1.1.1"
    made = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    made.SOPClassUID, made.SOPInstanceUID = meta.MediaStorageSOPClassUID, generate_uid()
    meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    made.StudyInstanceUID, made.SeriesInstanceUID = generate_uid(), generate_uid()
    made.PatientID, made.PatientName, made.PatientAge, made.Modality = f"B{number}", f"Bench^{number}", "004Y", "DX"
    made.BodyPartExamined, made.ViewPosition, made.PatientOrientation = "CHEST", "AP", ["L", "F"]
    made.Rows, made.Columns = pixels.shape
    made.SamplesPerPixel, made.PhotometricInterpretation, made.PixelRepresentation = 1, "MONOCHROME2", 0
    made.BitsAllocated, made.BitsStored, made.HighBit = 8, 8, 7
    made.PixelData = pixels.tobytes() + b"\0" * (pixels.size % 2)
    out = io.BytesIO()
    made.save_as(out, enforce_file_format=True)
    return made.StudyInstanceUID, out.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--films", type=int, default=8)
    parser.add_argument("--beside", action="store_true")
    options = parser.parse_args()
    model = aris.load("aris-nano")
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "store") as store:
        house = open_house(store, key=Path(folder) / "key", settings=SiteSettings(quiet_s=0))
        live = LiveDrafts(house, ModelDrafter(model))
        app = create_workspace(house, model=model, drafts=live)
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="on"))
        threading.Thread(target=server.run, daemon=True).start()
        while not server.started:
            time.sleep(0.05)
        port = server.servers[0].sockets[0].getsockname()[1]
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=120) as client:
            csrf = client.get("/api/session").json()["csrf"]
            made = client.post("/api/setup", headers={"X-CSRF-Token": csrf}, json={
                "code": app.state.workspace.setup_code, "login": "ana", "password": PASSWORD, "name": "Roe^Ana",
                "organization": "Bench", "identifier": "",
            })  # fmt: skip
            made.raise_for_status()
            model.engine.start()
            took = []
            for number in range(options.films + 1):
                uid, data = film(number)
                store.add(data)
                collect(house)
                if options.beside:
                    other, data = film(100 + number)
                    store.add(data)
                    from aris.flow.arrival import settle_now

                    settle_now(house, {other})
                    beside = threading.Thread(target=draft_next, args=(house, live.drafter, "worker"), daemon=True)
                    beside.start()
                    time.sleep(1.0)
                took.append(first_piece(client, uid))
                if options.beside:
                    beside.join()
                if number == 0:
                    took.clear()  # the first warms up
        server.should_exit = True
        first = sorted(each["first_s"] for each in took)
        print(json.dumps({
            "films": len(first), "beside_a_draft": options.beside,
            "findings_s": round(statistics.median(each["findings_s"] for each in took), 3),
            "first_token_s": round(statistics.median(first), 3), "first_token_worst_s": round(first[-1], 3),
            "whole_s": round(statistics.median(each["whole_s"] for each in took), 3),
        }))  # fmt: skip


def first_piece(client: httpx2.Client, study: str) -> dict[str, float]:
    """Open a study, and follow its draft."""
    began, times, event = time.perf_counter(), {}, ""
    with client.stream("GET", f"/api/studies/{study}/draft") as answer:
        answer.raise_for_status()
        for line in answer.iter_lines():
            if line.startswith("event: "):
                event = line[7:]
            if line.startswith("data: "):
                data = json.loads(line[6:])
                if event == "findings":
                    times.setdefault("findings_s", time.perf_counter() - began)
                elif event == "piece" and data["section"] in ("findings", "impression"):
                    times.setdefault("first_s", time.perf_counter() - began)
                elif event == "failed":
                    raise SystemExit(data["message"])
    times["whole_s"] = time.perf_counter() - began
    return times


if __name__ == "__main__":
    main()
