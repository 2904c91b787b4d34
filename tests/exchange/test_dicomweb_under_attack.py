"""DICOMweb and the parsing below it against what is small on the wire and large inside, and callers who hang about."""

from __future__ import annotations

import http.client
import json
import logging
import socket
import struct
import threading
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, JPEGBaseline8Bit, JPEGLSLossless, RLELossless

from aris.errors import ImageError
from aris.exchange.dicomweb import frames, retrieving
from aris.exchange.dicomweb.media import accepted
from aris.exchange.dicomweb.multipart import write
from aris.exchange.dicomweb.opened import opened
from aris.exchange.dicomweb.problems import WebError
from aris.imaging.dicom import parsing
from aris.imaging.memory_budget import DECODING, MemoryBudget, MemoryBusyError
from aris.imaging.volumes import nifti
from aris.service.dicomweb import DicomwebLimits, DicomwebServer, DicomwebSettings
from aris.store.store import Store, Stored
from dicom_objects import ROOT, as_bytes, image

HTTP = httpx2.Client(timeout=60)
RELATED = 'multipart/related; type="application/dicom"; boundary=B'
LARGE = 32 << 20


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store") as made:
        yield made


@contextmanager
def web(store: Store, **limits: Any) -> Iterator[str]:
    settings = DicomwebSettings(port=0, limits=DicomwebLimits(**limits))
    with DicomwebServer(store, settings) as server:
        yield server.url


def peak(work: Callable[[], Any]) -> int:
    """Bytes that Python objects take at most while it works."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def large_loop() -> bytes:
    """Frames of a MiB each, every one filled with its number."""
    count = LARGE >> 20
    pixels = np.repeat(np.arange(count, dtype=np.uint8), 1 << 20).tobytes()
    made = image(1, Rows=1024, Columns=1024, BitsAllocated=8, BitsStored=8, HighBit=7, NumberOfFrames=count)
    made.PixelData = pixels
    return as_bytes(made)


def test_one_frame_is_read_of_a_large_object(store: Store) -> None:
    store.add(large_loop())
    (each,) = store.instances()
    store.files.verified(each.digest)

    def one() -> None:
        found = opened(store, each)
        assert found.total == LARGE >> 20
        ((_, data),) = retrieving.frame_parts(found, [7], "application/octet-stream", "1.2.840.10008.1.2.1")
        assert data == b"\7" * (1 << 20)

    assert peak(one) < 8 << 20
    assert peak(lambda: list(retrieving.metadata_of(store, [each], "http://x"))) < 4 << 20

    def whole() -> None:
        form = retrieving.form(accepted("*/*"), [each])
        ((_, pieces),) = retrieving.objects(store, [each], form)
        assert not isinstance(pieces, bytes) and sum(map(len, pieces)) == each.file.size()

    assert peak(whole) < 8 << 20


def test_metadata_name_what_stays_in_the_file(store: Store) -> None:
    made = image(1, side=64)
    made.EncapsulatedDocument = b"%PDF" + bytes(300_000)
    item = Dataset()
    item.ImageComments = "inside"
    made.ReferencedImageSequence = DicomSequence([item])
    store.add(as_bytes(made))
    (each,) = store.instances()
    (text,) = retrieving.metadata_of(store, [each], "http://x")
    found = json.loads(text)
    base = f"http://x/studies/{ROOT}.1/series/{ROOT}.1.1/instances/{ROOT}.1.1.1/bulkdata"
    assert found["7FE00010"] == {"vr": "OW", "BulkDataURI": f"{base}/7FE00010"}
    assert found["00420011"] == {"vr": "OB", "BulkDataURI": f"{base}/00420011"}
    assert found["00081140"]["Value"][0]["00204000"]["Value"] == ["inside"]
    for path, value in (("7FE00010", made.PixelData), ("00420011", made.EncapsulatedDocument)):
        _, parts = retrieving.bulk_parts(opened(store, each), path, accepted("application/octet-stream"))
        ((_, data),) = parts
        assert (data if isinstance(data, bytes) else b"".join(data)) == value
    with pytest.raises(WebError, match="no such"):
        retrieving.bulk_parts(opened(store, each), "00420012", accepted("*/*"))


def test_a_frames_own_groups_and_bits_go_with_it(store: Store) -> None:
    made = image(1, Rows=3, Columns=5, BitsAllocated=1, BitsStored=1, HighBit=0, NumberOfFrames=4)
    bits = np.random.default_rng(1).integers(0, 2, (4, 15), dtype=np.uint8)
    made.PixelData = np.packbits(bits.reshape(-1), bitorder="little").tobytes()
    store.add(as_bytes(made))
    for index in (3, 0, 2):
        dataset, at = opened(store, store.instances()[0]).frame(index)
        cut = np.unpackbits(np.frombuffer(frames.plain_frame(dataset, at), np.uint8), bitorder="little")[:15]
        assert cut.tolist() == bits[index].tolist()


@pytest.mark.parametrize("table", ["basic", "none", "zeros", "extended"])
def test_frames_of_several_fragments_are_found(store: Store, table: str) -> None:
    streams = [b"\xff\xd8\xff\xe0" + bytes([n]) * (40 + 2 * n) + b"\xff\xd9" for n in range(4)]
    made = image(1, NumberOfFrames=4, BitsAllocated=8, BitsStored=8, HighBit=7)
    made.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    data = encapsulate(streams, fragments_per_frame=2, has_bot=table == "basic")
    if table == "zeros":
        data = b"\xfe\xff\x00\xe0\x10\0\0\0" + bytes(16) + data[8:]
    if table == "extended":
        lengths = [len(stream) + 16 for stream in streams]
        offsets = [sum(lengths[:n]) for n in range(4)]
        made.ExtendedOffsetTable = np.array(offsets, "<u8").tobytes()
        made.ExtendedOffsetTableLengths = np.array([len(each) for each in streams], "<u8").tobytes()
    made.PixelData = data
    made["PixelData"].is_undefined_length = True
    store.add(as_bytes(made))
    found = opened(store, store.instances()[0])
    for index in (2, 0, 3):
        dataset, at = found.frame(index)
        assert frames.stored_frame(dataset, at).rstrip(b"\0") == streams[index]


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless])
@pytest.mark.parametrize(
    "table",
    ["zeros", "none", "shifted", "short", "odd", "no item", "empty fragments", "extended zeros", "extended odd"],
)
def test_frames_are_found_whatever_the_offset_tables_say(store: Store, syntax: UID, table: str) -> None:
    wanted, pieces, offsets, at = [], [], [], 0
    for number in (1, 2, 3):
        one = image(number)
        wanted.append(one.PixelData)
        one.compress(syntax)
        stream = next(generate_frames(one.PixelData, number_of_frames=1))
        half = len(stream) // 4 * 2
        offsets.append(at)
        at += 16 + len(stream)
        pieces += [stream[:half], stream[half:]]
    tables = {
        "zeros": bytes(12), "shifted": struct.pack("<3I", *(each + 8 for each in offsets)), "odd": b"\1\2\3\4\5\6",
        "short": struct.pack("<2I", *offsets[:2]),
    }  # fmt: skip

    def item(value: bytes) -> bytes:
        return b"\xfe\xff\x00\xe0" + struct.pack("<I", len(value)) + value

    made = image(9, Modality="US", NumberOfFrames=3)
    made.file_meta.TransferSyntaxUID = syntax
    more = item(b"") if table == "empty fragments" else b""
    first = b"" if table == "no item" else item(tables.get(table, b""))
    made.PixelData = first + b"".join(item(each) + more for each in pieces)
    made["PixelData"].VR, made["PixelData"].is_undefined_length = "OB", True
    if table.startswith("extended"):
        made.ExtendedOffsetTable = bytes(24) if table.endswith("zeros") else b"\1\0\0\0"
        made.ExtendedOffsetTableLengths = bytes(24)
    one = opened(store, store_one(store, made))
    assert [frames.plain_frame(*one.frame(index)) for index in (2, 0, 1)] == [wanted[index] for index in (2, 0, 1)]


def test_a_part_of_a_concatenation_takes_its_own_frames_groups(store: Store) -> None:
    """Some writers leave the groups of all of the object's frames in each part."""
    made = image(1, NumberOfFrames=2, ConcatenationUID=f"{ROOT}.9", ConcatenationFrameOffsetNumber=2)
    made.InConcatenationNumber, made.InConcatenationTotalNumber = 2, 2
    made.PixelData *= 2
    groups = []
    for slope in (1, 2, 3, 4):
        group, item = Dataset(), Dataset()
        item.RescaleSlope, item.RescaleIntercept = slope, 0
        group.PixelValueTransformationSequence = [item]
        groups.append(group)
    made.PerFrameFunctionalGroupsSequence = groups
    one = opened(store, store_one(store, made))
    for index, slope in ((1, 4), (0, 3)):
        (group,) = one.frame(index)[0].PerFrameFunctionalGroupsSequence
        assert group.PixelValueTransformationSequence[0].RescaleSlope == slope


def store_one(store: Store, made: Any) -> Stored:
    found = store.find(store.add(as_bytes(made)).uid)
    assert found is not None
    return found


def test_damaged_pixels_are_said(store: Store) -> None:
    for number, data in enumerate((b"", b"\xfe\xff\x00\xe0\xff\xff\xff\xff", b"junk" * 10), 1):
        made = image(number, NumberOfFrames=3)
        made.file_meta.TransferSyntaxUID = RLELossless
        made.PixelData = b"\xfe\xff\x00\xe0\0\0\0\0" + data
        made["PixelData"].is_undefined_length = True
        store.add(as_bytes(made))
    for each in store.instances():
        with pytest.raises(WebError, match="damaged"):
            opened(store, each).frame(1)


def deflated(made: Dataset, inside: bytes) -> bytes:
    """A deflated object, with elements behind its own."""
    made.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    data = as_bytes(made)
    start = parsing.meta_of(data)[1]
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return data[:start] + packer.compress(zlib.decompress(data[start:], -zlib.MAX_WBITS) + inside) + packer.flush()


def bulk(tag: tuple[int, int], vr: bytes, size: int) -> bytes:
    return np.array(tag, "<u2").tobytes() + vr + b"\0\0" + np.array([size], "<u4").tobytes() + bytes(size)


def bomb(kind: str) -> bytes:
    if kind == "behind its pixels":
        return deflated(image(1), bulk((0xFFFC, 0xFFFC), b"OB", 96 << 20))
    made = image(1)
    if kind == "before its pixels":
        del made.PixelData
        return deflated(made, bulk((0x7FD1, 0x1010), b"OB", 96 << 20) + bulk((0x7FE0, 0x0010), b"OW", 512))
    if kind == "more pixels than its header says":
        del made.PixelData
        return deflated(made, bulk((0x7FE0, 0x0010), b"OW", 96 << 20))
    made.Rows = made.Columns = 14_000
    del made.PixelData
    return deflated(made, bulk((0x7FE0, 0x0010), b"OW", 40 << 20))


@pytest.mark.parametrize(
    "kind", ["behind its pixels", "before its pixels", "more pixels than its header says", "more pixels than are read"]
)
def test_a_deflated_image_inflates_to_what_its_header_justifies(store: Store, kind: str) -> None:
    data = bomb(kind)
    assert len(data) < 1 << 20

    def read() -> None:
        with pytest.raises(ImageError, match="too large"):
            parsing.parse(data, "x")

    assert peak(read) < 150 << 20
    if kind != "before its pixels":
        # A store stores it, and holds no more than its header.
        assert peak(lambda: store.add(data)) < 16 << 20
        assert len(store.instances()) == 1


def test_an_honest_deflated_image_is_read() -> None:
    made = image(1, side=300)
    data = deflated(made, b"")
    assert parsing.parse(data, "x").PixelData == made.PixelData
    for damaged in (data[:-20], data[:-400], data[:500]):
        for pixels in (True, False):
            with pytest.raises(ImageError, match="damaged"):
                parsing.parse(damaged, "x", pixels=pixels)


def test_a_nifti_unpacks_to_what_its_header_says(tmp_path: Path) -> None:
    import gzip

    header = bytearray(352)
    header[:4] = (348).to_bytes(4, "little")
    header[40:56] = np.array([3, 4, 4, 4, 1, 1, 1, 1], "<i2").tobytes()
    header[70:74] = np.array([4, 16], "<i2").tobytes()
    header[108:112] = np.array([352], "<f4").tobytes()
    header[344:348] = b"n+1\0"
    path = tmp_path / "x.nii.gz"
    path.write_bytes(gzip.compress(bytes(header) + bytes(96 << 20), 1))

    def read() -> None:
        with pytest.raises(ImageError, match="more than its header says"):
            nifti.read_nifti(path)

    assert peak(read) < 64 << 20


def test_memory_is_shared_and_waited_for() -> None:
    budget = MemoryBudget(100, patience_s=30.0)
    with budget.holding(60):
        assert budget.used == 60
        waiting = threading.Thread(target=lambda: budget.take(1000))  # more than there is: all, alone
        waiting.start()
        with pytest.raises(MemoryBusyError):
            MemoryBudget.take(_impatient(budget), 50)
    waiting.join(30)
    assert budget.used == 100
    budget.give_back(100)
    assert budget.used == 0


def _impatient(budget: MemoryBudget) -> MemoryBudget:
    budget.patience_s = 0.0
    return budget


def test_a_request_without_memory_is_told_to_come_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.add(as_bytes(image(1)))
    monkeypatch.setattr(DECODING, "patience_s", 0.01)
    at_frame = f"/studies/{ROOT}.1/series/{ROOT}.1.1/instances/{ROOT}.1.1.1/rendered"
    with web(store) as url:
        with DECODING.holding(DECODING.most):
            answer = HTTP.get(url + at_frame)
            assert answer.status_code == 503 and answer.headers["retry-after"]
        assert HTTP.get(url + at_frame).status_code == 200
    assert DECODING.used == 0


def body(*parts: bytes) -> bytes:
    return b"".join(write((({"Content-Type": "application/dicom"}, part) for part in parts), "B"))


def test_empty_parts_are_few_lines_and_soon_too_many(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "aris")
    logging.getLogger("aris").propagate = True
    with web(store, parts=1000) as url:
        content = b"--B\r\n\r\n\r\n" * 50_000 + b"--B--\r\n"
        answer = HTTP.post(f"{url}/studies", content=content, headers={"Content-Type": RELATED})
        assert answer.status_code == 413 and "1,000 parts" in answer.text
        good = HTTP.post(f"{url}/studies", content=body(as_bytes(image(1))), headers={"Content-Type": RELATED})
        assert good.status_code == 200
    assert len(caplog.records) < 40


def test_another_patient_is_told_to_whoever_stores(store: Store) -> None:
    from pynetdicom import AE, build_context

    from aris.exchange.node.server import Node, NodeSettings
    from dicom_objects import DX

    mine, theirs = image(1, PatientID="P1"), image(2, PatientID="P2", PatientName="Roe^Rita")
    with web(store) as url:
        first = HTTP.post(f"{url}/studies", content=body(as_bytes(mine)), headers={"Content-Type": RELATED})
        assert first.status_code == 200
        answer = HTTP.post(f"{url}/studies", content=body(as_bytes(theirs)), headers={"Content-Type": RELATED})
        assert answer.status_code == 202
        (item,) = answer.json()["00081199"]["Value"]
        assert item["00081196"]["Value"] == [0xB00F]
        # It is where the answer says, and nowhere among the first patient's.
        assert HTTP.get(item["00081190"]["Value"][0]).content.count(b"Roe^Rita") == 1
        assert b"Rita" not in HTTP.get(f"{url}/studies/{ROOT}.1").content
        assert b"Rita" not in HTTP.get(f"{url}/studies/{ROOT}.1/metadata").content
        assert HTTP.get(f"{url}/instances?PatientID=P2").status_code == 204
    with Node(store, NodeSettings(port=0)) as node:
        association = AE().associate("127.0.0.1", node.port, [build_context(DX)])
        assert association.send_c_store(theirs).Status == 0xB00F
        assert association.send_c_store(mine).Status == 0
        association.release()


def _address(url: str) -> tuple[str, int]:
    host, _, port = url.removeprefix("http://").partition("/")[0].partition(":")
    return host, int(port)


def test_a_body_that_trickles_is_ended(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aris.service.dicomweb.uploads.LEAST_RATE", 1 << 40)
    with web(store, silence_s=0.3) as url:
        made = http.client.HTTPConnection(*_address(url), timeout=30)
        made.putrequest("POST", "/dicomweb/studies")
        for name, value in (("Content-Type", "application/dicom"), ("Content-Length", "100000")):
            made.putheader(name, value)
        made.endheaders()
        try:
            for _ in range(200):  # each byte before the silence is one, all of them together too slow
                made.send(b"x")
                threading.Event().wait(0.05)
        except OSError:
            pass
        with suppress(http.client.HTTPException, OSError):  # it was ended while we were still sending
            assert made.getresponse().status == 408
        assert HTTP.get(f"{url}/studies").status_code == 204


def test_an_answer_that_nobody_reads_is_ended(store: Store) -> None:
    store.add(large_loop())
    with web(store, requests=1, silence_s=0.5) as url, socket.socket() as idle:
        idle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        idle.connect(_address(url))
        idle.sendall(f"GET /dicomweb/studies/{ROOT}.1 HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert idle.recv(12) == b"HTTP/1.1 200"
        done = threading.Event()
        for _ in range(200):
            if HTTP.get(f"{url}/studies").status_code == 200:
                done.set()
                break
            threading.Event().wait(0.1)
        assert done.is_set(), "its place was never given back"
