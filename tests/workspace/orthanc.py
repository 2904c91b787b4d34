"""A real Orthanc for tests: a PACS that is not ours, with its DICOMweb plugin where that is installed."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


@dataclass
class Orthanc:
    """A running Orthanc: the ports of its DICOM node and its API, and whether it has DICOMweb."""

    dicom: int
    http: int
    web: bool
    process: subprocess.Popen[bytes] | None = None

    def stop(self) -> None:
        """End it before its time, as a peer that goes away."""
        assert self.process is not None
        self.process.terminate()
        self.process.wait(60)

    @property
    def peer(self) -> str:
        return f"ORTHANC@127.0.0.1:{self.dicom}"

    @property
    def dicomweb(self) -> str:
        return f"http://127.0.0.1:{self.http}/dicom-web"

    def get(self, path: str) -> Any:
        return self._call("GET", path).json()

    def post(self, path: str, body: Any) -> Any:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self._call("POST", path, content=content).json()

    def put(self, path: str, body: Any) -> None:
        self._call("PUT", path, content=json.dumps(body).encode())

    def instances(self, modality: str) -> list[str]:
        """The SOP Instance UIDs that it holds of a modality."""
        found = []
        for each in self.get("/instances"):
            tags = self.get(f"/instances/{each}/simplified-tags")
            if tags["Modality"] == modality:
                found.append(str(tags["SOPInstanceUID"]))
        return found

    def _call(self, method: str, path: str, **more: Any) -> httpx2.Response:
        answer = httpx2.request(method, f"http://127.0.0.1:{self.http}{path}", timeout=120, **more)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text[:500]}"
        return answer


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@contextmanager
def running(folder: Path) -> Iterator[Orthanc]:
    """An Orthanc of its own storage; skips where there is none."""
    program = shutil.which("Orthanc", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if program is None:
        pytest.skip("no Orthanc here (Debian: orthanc, orthanc-dicomweb)")
    made = Orthanc(free_port(), free_port(), PLUGIN.exists())
    settings = {
        "Name": "peer", "StorageDirectory": str(folder / "orthanc"), "IndexDirectory": str(folder / "orthanc"),
        "HttpPort": made.http, "DicomPort": made.dicom, "DicomAet": "ORTHANC", "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False, "DicomAlwaysAllowStore": True, "DicomAlwaysAllowFind": True,
        "DicomCheckCalledAet": False,
        "OverwriteInstances": False, "StableAge": 1, "HttpsVerifyPeers": False,
        "Plugins": [str(PLUGIN)] if made.web else [], "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }  # fmt: skip
    (folder / "orthanc").mkdir()
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with (folder / "orthanc.log").open("w") as log:
        process = subprocess.Popen([program, str(folder / "orthanc.json")], stdout=log, stderr=log)
        made.process = process
        try:
            until = time.monotonic() + 100
            while True:
                assert process.poll() is None and time.monotonic() < until, (folder / "orthanc.log").read_text()
                try:
                    made.get("/system")
                    break
                except httpx2.TransportError:
                    time.sleep(0.05)
            yield made
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
