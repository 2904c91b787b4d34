"""DICOMweb against dicomweb-client: what it stores, finds and retrieves is what the store has, bit by bit."""

from __future__ import annotations

import gzip
import http.client
import io
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pydicom
import pytest
from dicomweb_client import DICOMwebClient
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image
from pydicom.uid import ExplicitVRLittleEndian

from aris.errors import ArisError
from aris.exchange.dicomweb import media, rendering
from aris.exchange.dicomweb.multipart import Part, PartReader, write
from aris.exchange.dicomweb.problems import WebError
from aris.service.dicomweb import DicomwebLimits, DicomwebServer, DicomwebSettings
from aris.store.objects import ObjectError, canonical, identity, parse
from aris.store.store import Store
from dicom_objects import CT, ROOT, as_bytes, image

HTTP = httpx2.Client(timeout=60)
RELATED = 'multipart/related; type="application/dicom"; boundary=B'


@contextmanager
def web(store: Store, **changes: Any) -> Iterator[str]:
    with DicomwebServer(store, DicomwebSettings(**({"port": 0} | changes))) as server:
        yield server.url


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with Store(tmp_path_factory.mktemp("web")) as opened:
        for study in (1, 2, 3):
            for number in (1, 2):
                opened.add(as_bytes(image(number, study=study, Modality="CT" if study == 3 else "DX", SOPClassUID=CT)))
        yield opened


@pytest.fixture(scope="module")
def url(store: Store) -> Iterator[str]:
    with web(store) as at:
        yield at


@pytest.fixture
def client(url: str) -> DICOMwebClient:
    return quick(url)


def quick(url: str, **keywords: Any) -> DICOMwebClient:
    made = DICOMwebClient(url, **keywords)
    made.set_http_retry_params(retry=False)
    return made


def body(*parts: bytes, kind: str = "application/dicom") -> bytes:
    return b"".join(write((({"Content-Type": kind}, part) for part in parts), "B"))


def post(url: str, content: bytes, kind: str = RELATED, **headers: str) -> httpx2.Response:
    return HTTP.post(f"{url}/studies", content=content, headers={"Content-Type": kind} | headers)


def uid(number: int, study: int = 1) -> tuple[str, str, str]:
    return f"{ROOT}.{study}", f"{ROOT}.{study}.1", f"{ROOT}.{study}.1.{number}"


def reasons(answer: httpx2.Response, sequence: str = "00081198") -> list[int]:
    return [item["00081197"]["Value"][0] for item in answer.json()[sequence]["Value"]]


# Storing


def test_dicomweb_client_stores_searches_and_retrieves(tmp_path: Path) -> None:
    sent = [image(number, study=7, side=64) for number in (1, 2, 3)]
    with Store(tmp_path) as store, web(store) as at:
        client = quick(at, chunk_size=1 << 14)
        answer = client.store_instances(sent)
        assert len(answer.ReferencedSOPSequence) == 3 and "FailedSOPSequence" not in answer
        assert answer.RetrieveURL == f"{at}/studies/{ROOT}.7"
        client.store_instances(sent)  # again: acknowledged, kept once
        assert store.counts() == {"studies": 1, "series": 1, "instances": 3, "copies": 3}
        (study,) = client.search_for_studies()
        assert study["0020000D"]["Value"] == [f"{ROOT}.7"] and study["00100010"]["Value"] == [
            {"Alphabetic": "Müller^Ana7"}
        ]
        back = client.retrieve_instance(*uid(2, 7))
        assert back == sent[1] and back.PixelData == sent[1].PixelData
        for several in (client.retrieve_study(f"{ROOT}.7"), list(client.iter_series(*uid(1, 7)[:2]))):
            assert [each.PixelData for each in several] == [each.PixelData for each in sent]


def test_each_object_of_a_request_has_its_own_outcome(tmp_path: Path) -> None:
    with Store(tmp_path) as store, web(store) as at:
        good, other = as_bytes(image(1)), as_bytes(image(1, PatientComments="changed"))
        answer = post(at, body(good, b"nonsense", as_bytes(image(2))[:300]))
        assert answer.status_code == 202 and answer.headers["content-type"] == "application/dicom+json"
        assert reasons(answer, "0008119A") == [0xC000, 0xC000]
        (kept,) = answer.json()["00081199"]["Value"]
        assert kept["00081155"]["Value"] == [image(1).SOPInstanceUID]
        assert HTTP.get(kept["00081190"]["Value"][0]).status_code == 200
        assert post(at, body(good)).status_code == 200
        beside = post(at, body(other))  # another content under a known UID: both are kept, and it is said
        assert beside.status_code == 202
        assert beside.json()["00081199"]["Value"][0]["00081196"]["Value"] == [0xB00E]
        moved = post(at, body(as_bytes(image(1, StudyInstanceUID="1.2.9")))).json()["00081199"]["Value"][0]
        assert HTTP.get(moved["00081190"]["Value"][0]).status_code == 200  # the first, in its own study
        assert store.counts()["instances"] == 1 and store.counts()["copies"] == 3
        assert post(at, body(b"nonsense")).status_code == 409
        assert post(at, body(good, kind="text/plain")).status_code == 409
        elsewhere = HTTP.post(f"{at}/studies/{ROOT}.9", content=body(good), headers={"Content-Type": RELATED})
        assert elsewhere.status_code == 409 and reasons(elsewhere) == [0xA900]
        alone = post(at, as_bytes(image(5)), "application/dicom")
        assert alone.status_code == 200 and store.counts()["instances"] == 2


def test_the_node_and_dicomweb_keep_the_same_object_once(tmp_path: Path) -> None:
    from aris.exchange.node.peers import Peer, send
    from aris.exchange.node.server import Node, NodeSettings

    path = tmp_path / "1.dcm"
    made = image(1)
    made.preamble = b"MEYER^ANNA".ljust(128, b"\0")
    path.write_bytes(as_bytes(made))
    with Store(tmp_path / "store") as store, Node(store, NodeSettings(port=0)) as node, web(store) as at:
        assert not send([path], Peer("ARIS", "127.0.0.1", node.port))[0].error
        assert post(at, body(path.read_bytes())).status_code == 200
        assert store.counts()["copies"] == 1
        assert b"MEYER^ANNA" not in HTTP.get(f"{at}/studies/{ROOT}.1").content


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"", RELATED, 400),
        (b"--B--", RELATED, 400),
        (b"no boundary at all", RELATED, 400),
        (b"--B\r\nContent-Type: application/dicom\r\n\r\ncut off", RELATED, 400),
        (b"--B\r\nno header\r\n\r\nx\r\n--B--", RELATED, 400),
        (b"--B\r\n" + b"A: b\r\n" * 10_000 + b"\r\n\r\nx\r\n--B--", RELATED, 400),
        (body(b""), 'multipart/related; type="application/dicom"', 400),
        (body(b""), 'multipart/related; type="application/dicom"; boundary=' + "x" * 129, 400),
        (body(b""), 'multipart/related; type="application/dicom+json"; boundary=B', 415),
        (b"{}", "application/json", 415),
        (b"", "", 415),
    ],
)
def test_malformed_bodies_are_refused_and_store_nothing(
    store: Store, url: str, content: bytes, kind: str, status: int
) -> None:
    before = store.counts()
    answer = post(url, content, kind)
    assert answer.status_code == status
    assert (status == 400 and not answer.json().get("error")) or answer.json()["error"]["message"]
    assert store.counts() == before


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "GZIP"])
def test_compressed_bodies_are_refused_as_such(store: Store, url: str, encoding: str) -> None:
    before = store.counts()
    packed = gzip.compress(body(as_bytes(image(1, study=8))))
    answer = post(url, packed, **{"Content-Encoding": encoding})
    assert answer.status_code == 415 and answer.headers["accept-encoding"] == "identity"
    assert store.counts() == before
    plain = post(url, body(b"no object"), **{"Content-Encoding": "identity"})
    assert plain.status_code == 409  # read, and found to be none


def test_a_body_that_is_cut_off_acknowledges_nothing_and_can_be_sent_again(tmp_path: Path) -> None:
    whole = body(*(as_bytes(image(number)) for number in (1, 2, 3)))
    with Store(tmp_path) as store, web(store) as at:
        assert post(at, whole[:-1000]).status_code == 400
        assert store.counts()["instances"] == 2  # what was whole is there, though not acknowledged
        assert post(at, whole).status_code == 200
        assert store.counts()["instances"] == store.counts()["copies"] == 3


def test_limits(tmp_path: Path) -> None:
    small, large = as_bytes(image(1)), as_bytes(image(2, side=400))
    limits = DicomwebLimits(object_bytes=100_000, request_bytes=2_000_000, uploads=1, silence_s=1.0)
    with Store(tmp_path) as store, web(store, limits=limits) as at:
        answer = post(at, body(small, large))
        assert answer.status_code == 202 and reasons(answer, "0008119A") == [0xA700]  # the others are kept
        assert post(at, body(large)).status_code == 409
        assert post(at, body(b"\0" * 3_000_000)).status_code == 413
        assert (
            HTTP.post(
                f"{at}/studies", content=iter([b"\0" * 500_000] * 6), headers={"Content-Type": RELATED}
            ).status_code
            == 413
        )
        waiting, going = threading.Event(), threading.Event()

        def slowly() -> Iterator[bytes]:
            whole = body(as_bytes(image(3)))
            yield whole[:100]
            waiting.set()
            going.wait(20)
            yield whole[100:]

        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(HTTP.post, f"{at}/studies", content=slowly(), headers={"Content-Type": RELATED})
            assert waiting.wait(20)
            busy = post(at, body(small))
            assert busy.status_code == 503 and int(busy.headers["retry-after"]) > 0
            going.set()
            assert first.result().status_code == 200
            waiting.clear(), going.clear()
            silent = pool.submit(HTTP.post, f"{at}/studies", content=slowly(), headers={"Content-Type": RELATED})
            threading.Timer(2, going.set).start()
            # The answer comes while the client is writing still, and the connection is closed.
            assert silent.exception() is not None or silent.result().status_code == 408
        assert post(at, body(as_bytes(image(4)))).status_code == 200
        assert store.counts()["instances"] == 3
    with Store(tmp_path / "b") as other, web(other, limits=DicomwebLimits(held_bytes=1000)) as at:
        full = post(at, body(large))
        assert full.status_code == 503 and "retry-after" in full.headers and other.counts()["instances"] == 0
        assert post(at, body(large)).status_code == 503  # what was held is given back


def test_a_full_disk_is_said_and_loses_nothing_acknowledged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store(tmp_path) as store, web(store) as at:
        assert post(at, body(as_bytes(image(1)))).status_code == 200
        with monkeypatch.context() as full:
            full.setattr(store.files, "_reserve", 1 << 60)
            answer = post(at, body(as_bytes(image(2)), as_bytes(image(3))))
            assert answer.status_code == 503 and "retry-after" in answer.headers
            assert reasons(answer) == [0xA700, 0xA700]
            some = post(at, body(as_bytes(image(1)), as_bytes(image(2))))  # the first is there already
            assert some.status_code == 202 and reasons(some) == [0xA700]
        assert store.counts()["instances"] == 1
        assert post(at, body(as_bytes(image(2)))).status_code == 200


def test_what_follows_a_stored_object_changes_no_answer(tmp_path: Path) -> None:
    def fail(*_: object) -> None:
        raise OSError("the reader has gone")

    with Store(tmp_path) as store, DicomwebServer(store, DicomwebSettings(port=0), fail) as server:
        assert post(server.url, body(as_bytes(image(1)))).status_code == 200
        assert store.counts()["instances"] == 1


def test_eight_clients_at_once(tmp_path: Path) -> None:
    def work(number: int) -> None:
        client = quick(at)
        mine = [image(n, study=number % 3 + 1, series=number + 1) for n in range(1, 7)]
        shared = [image(n, study=9) for n in range(1, 4)]
        assert "FailedSOPSequence" not in client.store_instances(mine + shared)
        for each in mine:
            back = client.retrieve_instance(each.StudyInstanceUID, each.SeriesInstanceUID, each.SOPInstanceUID)
            assert back.PixelData == each.PixelData
        assert len(client.search_for_instances(mine[0].StudyInstanceUID, mine[0].SeriesInstanceUID)) == 6

    with Store(tmp_path) as store, web(store) as at:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(8)))
        assert store.counts()["instances"] == store.counts()["copies"] == 8 * 6 + 3


# Searching


def test_searches(client: DICOMwebClient) -> None:
    def studies(**filters: str) -> list[str]:
        found = client.search_for_studies(search_filters=filters)
        return [each["0020000D"]["Value"][0].removeprefix(ROOT) for each in found]

    assert studies() == [".1", ".2", ".3"] and studies(PatientName="m*ana?") == [".1", ".2", ".3"]
    assert studies(PatientName="Müller^Ana2") == studies(**{"00100020": "P2"}) == [".2"]
    assert studies(StudyDate="20260102-") == [".2", ".3"] and studies(ModalitiesInStudy="CT") == [".3"]
    assert (
        studies(StudyInstanceUID=f"{ROOT}.1,{ROOT}.3")
        == studies(StudyInstanceUID=f"{ROOT}.1\\{ROOT}.3")
        == [".1", ".3"]
    )
    assert studies(PatientID="nobody") == []
    (study,) = client.search_for_studies(search_filters={"PatientID": "P3"})
    assert study["00201208"]["Value"] == [2] and study["00080061"]["Value"] == ["CT"] and "00081030" not in study
    (study,) = client.search_for_studies(search_filters={"PatientID": "P3"}, fields=["StudyDescription"])
    assert study["00081030"]["Value"] == ["Chest"]
    assert len(client.search_for_series(f"{ROOT}.1")) == 1 and len(client.search_for_series()) == 3
    assert len(client.search_for_instances(*uid(1)[:2])) == 2 and len(client.search_for_instances(f"{ROOT}.2")) == 2
    (one,) = client.search_for_instances(search_filters={"SOPInstanceUID": uid(2)[2]}, fields=["PatientOrientation"])
    assert (
        one["00200013"]["Value"] == [2] and one["00280010"]["Value"] == [16] and one["00200020"]["Value"] == ["L", "F"]
    )
    dataset = pydicom.Dataset.from_json(one)
    assert dataset.AvailableTransferSyntaxUID == ExplicitVRLittleEndian and str(dataset.PatientName) == "Müller^Ana1"


def test_pages_of_results(client: DICOMwebClient, url: str) -> None:
    assert len(client.search_for_instances(limit=4)) == 4 and len(client.search_for_instances(limit=4, offset=4)) == 2
    assert len(client.search_for_instances(limit=4, get_remaining=True)) == 6
    assert "additional results" in HTTP.get(f"{url}/studies?limit=2").headers["warning"]
    assert "warning" not in HTTP.get(f"{url}/studies?limit=3").headers
    assert HTTP.get(f"{url}/studies?offset=3").status_code == 204


def test_what_a_search_does_not_do_is_said(url: str) -> None:
    fuzzy = HTTP.get(f"{url}/studies?PatientName=Mull*&fuzzymatching=true")
    assert fuzzy.status_code == 204 and "Only literal matching has been performed" in fuzzy.headers["warning"]
    for wrong in (
        "PatientComments=x", "Nonsense=x", "SOPInstanceUID=1.2", "limit=-1", "limit=x", "offset=1.5",
        "00400275.00400009=1",
        "PatientID=a&PatientID=b", "includefield=nonsense", "fuzzymatching=perhaps", "PatientID=%00",
    ):  # fmt: skip
        answer = HTTP.get(f"{url}/studies?{wrong}")
        assert answer.status_code == 400 and answer.json()["error"]["message"], wrong
    other = f"{url}/studies/{ROOT}.1/instances?StudyInstanceUID={ROOT}.2"
    assert HTTP.get(other).status_code == 204  # a study that the path does not name
    assert HTTP.get(f"{url}/studies", headers={"Accept": "application/dicom+xml"}).status_code == 406


def test_searches_by_time_by_keys_that_match_all_and_by_names_with_wide_spaces(tmp_path: Path) -> None:
    with Store(tmp_path) as store, web(store) as at:
        store.add(as_bytes(image(1, study=1, StudyTime="0915")))
        store.add(as_bytes(image(1, study=2, StudyTime="1200", PatientName="Yamada^Tarou=山田\u3000大^太郎")))
        store.add(as_bytes(image(1, study=3, StudyDate="", StudyTime="")))

        def studies(query: str) -> list[str]:
            answer = HTTP.get(f"{at}/studies?{query}")
            found = answer.json() if answer.status_code == 200 else []
            return [each["0020000D"]["Value"][0].removeprefix(ROOT) for each in found]

        assert studies("StudyTime=091500-091600") == [".1"] and studies("StudyTime=0900-") == [".1", ".2"]
        assert studies("StudyDate=-20260102") == studies("StudyDate=20260101-") == [".1", ".2"]
        assert studies("StudyDate=20260101-20260102&StudyTime=1000-1100") == []
        assert studies("StudyDate=20260101-20260102&StudyTime=0900-1300") == [".1", ".2"]
        assert studies("PatientName=%3D山田\u3000大*") == [".2"]
        (one,) = HTTP.get(f"{at}/studies?PatientID=P1&StudyDescription=").json()
        assert one["00081030"]["Value"] == ["Chest"]  # a key that matches all asks for the value (PS3.18 10.6)
        for wrong in ("StudyDate=2026-01-01", "StudyDate=20260230", "StudyTime=25", "PatientName=a%0Ab"):
            assert HTTP.get(f"{at}/studies?{wrong}").status_code == 400, wrong


def test_frames_of_an_object_with_a_wrong_offset_table(tmp_path: Path) -> None:
    by_name = {each.name: each for each in shipped()}
    sent = pydicom.dcmread(by_name["SC_rgb_rle_2frame.dcm"])
    expected = list(pydicom.encaps.generate_frames(sent.PixelData, number_of_frames=2))
    wanted = sent.pixel_array
    # The table's two offsets become zeros.
    sent.PixelData = b"\xfe\xff\x00\xe0\x08\0\0\0" + bytes(8) + sent.PixelData[sent.PixelData.index(
        b"\xfe\xff\x00\xe0", 4
    ):]  # fmt: skip
    with Store(tmp_path) as store, web(store) as at:
        assert post(at, body(as_bytes(sent))).status_code == 200
        known = (sent.StudyInstanceUID, sent.SeriesInstanceUID, sent.SOPInstanceUID)
        frames = quick(at).retrieve_instance_frames(*known, [1, 2], media_types=("image/dicom-rle",))
        assert list(frames) == expected
        plain = quick(at).retrieve_instance(*known, media_types=(("application/dicom", ExplicitVRLittleEndian),))
        assert np.array_equal(plain.pixel_array, wanted)


# Retrieving


def shipped() -> list[Path]:
    """The files that come with pydicom and that are whole DICOM objects."""
    return sorted(Path(str(files("pydicom"))).joinpath("data", "test_files").glob("*.dcm"))


def encoded(data: bytes) -> bytes:
    """What follows the file meta information."""
    length = int.from_bytes(data[140:144], "little")
    return data[144 + length :]


def test_pydicom_s_files_make_the_round_trip_bit_by_bit(tmp_path: Path) -> None:
    outcomes = dict.fromkeys((200, 202, 409), 0)
    with Store(tmp_path) as store, web(store) as at:
        client = quick(at)
        for path in shipped():
            data = path.read_bytes()
            answer = post(at, body(data))
            outcomes[answer.status_code] += 1
            if answer.status_code == 409:
                # No UID can be read, or its end is missing: some of the files are cut on purpose.
                assert set(answer.json()) in ({"0008119A"}, {"00081198"}), path.name
                continue
            known = identity(parse(data, "x"), "x")
            meta = pydicom.filereader.read_file_meta_info(path)
            start = 144 + int(meta.get("FileMetaInformationGroupLength", 0))
            assert encoded(canonical(data, known)) == data[start:] or "no_meta_group_length" in path.name
            if answer.status_code == 202:  # several of them have one UID: the first stays the instance
                continue
            where = f"{at}/studies/{known.study}/series/{known.series}/instances/{known.uid}"
            same = f"application/dicom; transfer-syntax={known.transfer_syntax}"
            back = HTTP.get(where, headers={"Accept": same})
            assert back.status_code == 200, path.name
            assert encoded(back.content) == encoded(canonical(data, known)), path.name
            anything = client.retrieve_instance(known.study, known.series, known.uid)
            assert anything.SOPInstanceUID == known.uid
            listed = client.retrieve_instance_metadata(known.study, known.series, known.uid)
            assert listed["00080018"]["Value"] == [known.uid], path.name
    assert outcomes[200] > 30 and outcomes[200] + outcomes[202] > 60, outcomes


@pytest.mark.parametrize(
    "name",
    ["CT_small.dcm", "MR_small_bigendian.dcm", "MR_small_implicit.dcm", "MR_small_RLE.dcm", "JPEG2000.dcm",
     "image_dfl.dcm", "693_J2KI.dcm", "SC_rgb_rle_2frame.dcm", "examples_rgb_color.dcm", "rtdose_expb.dcm",
     "ExplVR_BigEnd.dcm", "MR_small_jpeg_ls_lossless.dcm", "SC_rgb_small_odd_big_endian.dcm"],
)  # fmt: skip
def test_plain_forms_have_the_same_pixels(tmp_path: Path, name: str) -> None:
    (path,) = [each for each in shipped() if each.name == name]
    sent = pydicom.dcmread(path)
    expected = sent.pixel_array
    with Store(tmp_path) as store, web(store) as at:
        client = quick(at)
        assert post(at, body(path.read_bytes())).status_code == 200
        known = (sent.StudyInstanceUID, sent.SeriesInstanceUID, sent.SOPInstanceUID)
        plain = client.retrieve_instance(*known, media_types=(("application/dicom", ExplicitVRLittleEndian),))
        assert plain.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
        assert np.array_equal(plain.pixel_array, expected)
        for element in sent:
            if (
                element.VR not in ("OB", "OW", "SQ", "UN", "OB or OW")
                and element.tag.group != 0x28
                and element.tag.element
            ):
                assert plain[element.tag].value == element.value, element.tag
        count = int(sent.get("NumberOfFrames", 1))
        frames = client.retrieve_instance_frames(*known, frame_numbers=list(range(1, count + 1)))
        values = np.frombuffer(b"".join(frames), expected.dtype.newbyteorder("<"))
        ordered = expected if plain.get("PlanarConfiguration", 0) == 0 else np.moveaxis(expected, -1, -3)
        assert np.array_equal(values.reshape(ordered.shape), ordered)


def test_frames_as_they_are_stored(tmp_path: Path) -> None:
    by_name = {each.name: each for each in shipped()}
    with Store(tmp_path) as store, web(store) as at:
        client = quick(at)
        for name, kind in (
            ("SC_rgb_jpeg_dcmtk.dcm", "image/jpeg"), ("JPEG2000.dcm", "image/jp2"),
            ("SC_rgb_rle_2frame.dcm", "image/dicom-rle"),
        ):  # fmt: skip
            sent = pydicom.dcmread(by_name[name])
            assert post(at, body(by_name[name].read_bytes())).status_code == 200
            known = (sent.StudyInstanceUID, sent.SeriesInstanceUID, sent.SOPInstanceUID)
            count = int(sent.get("NumberOfFrames", 1))
            expected = list(pydicom.encaps.generate_frames(sent.PixelData, number_of_frames=count))
            assert (
                list(client.retrieve_instance_frames(*known, list(range(1, count + 1)), media_types=(kind,)))
                == expected
            )
            where = f"{at}/studies/{known[0]}/series/{known[1]}/instances/{known[2]}/frames/1"
            syntax = str(sent.file_meta.TransferSyntaxUID)
            viewer = HTTP.get(
                where, headers={"Accept": "multipart/related; type=application/octet-stream; transfer-syntax=*"}
            )
            assert (
                f"Content-Type: {kind}; transfer-syntax={syntax}".encode() in viewer.content
                and expected[0] in viewer.content
            )
            alone = HTTP.get(where, headers={"Accept": kind})
            assert alone.content == expected[0] and alone.headers["content-type"].startswith(kind)
        assert HTTP.get(where, headers={"Accept": "image/jpeg"}).status_code == 406  # it is RLE
        for wrong, status in (("0", 404), ("3", 404), ("x", 400), ("1,,2", 400), ("1-2", 400), ("-1", 400)):
            assert HTTP.get(where[:-1] + wrong).status_code == status, wrong
        both = where[:-1] + "2,1"
        assert HTTP.get(both, headers={"Accept": "application/octet-stream"}).status_code == 406


def test_bits_that_are_packed_are_cut_into_frames(tmp_path: Path) -> None:
    made = image(1, side=5, BitsAllocated=1, BitsStored=1, HighBit=0, NumberOfFrames=3)
    masks = np.random.default_rng(0).integers(0, 2, (3, 25)).astype(np.uint8)
    packed = np.packbits(masks.ravel(), bitorder="little").tobytes()
    made.PixelData = packed + b"\0" * (len(packed) % 2)
    with Store(tmp_path) as store, web(store) as at:
        quick(at).store_instances([made])
        frames = quick(at).retrieve_instance_frames(*uid(1), frame_numbers=[1, 2, 3])
        for mask, frame in zip(masks, frames, strict=True):
            assert np.array_equal(np.unpackbits(np.frombuffer(frame, np.uint8), bitorder="little")[:25], mask)


def test_metadata_and_the_bulk_data_that_it_names(tmp_path: Path) -> None:
    made = image(1, side=40)
    item = pydicom.Dataset()
    item.EncryptedContent = b"\1\2" * 3000
    made.EncryptedAttributesSequence = [pydicom.Dataset(), item]
    made.private_block(0x0011, "ARIS TEST", create=True).add_new(1, "OB", b"short!")
    made.add_new("PatientSize", "DS", "1.75")
    made.add_new(0x00189073, "FD", float("inf"))
    with Store(tmp_path) as store, web(store) as at:
        client = quick(at)
        client.store_instances([made])
        listed = client.retrieve_instance_metadata(*uid(1))
        assert client.retrieve_study_metadata(f"{ROOT}.1") == client.retrieve_series_metadata(*uid(1)[:2]) == [listed]
        assert listed["00189073"]["Value"] == ["inf"] and listed["00080005"]["Value"] == ["ISO_IR 192"]
        assert listed["00111001"]["InlineBinary"] == "c2hvcnQh"
        pixels, nested = listed["7FE00010"]["BulkDataURI"], listed["04000500"]["Value"][1]["04000520"]["BulkDataURI"]
        assert list(client.retrieve_bulkdata(pixels)) == [made.PixelData]
        assert list(client.retrieve_bulkdata(nested)) == [item.EncryptedContent]
        assert HTTP.get(nested, headers={"Accept": "application/octet-stream"}).content == item.EncryptedContent
        kept = {tag: value for tag, value in listed.items() if tag not in ("7FE00010", "00083002", "00189073")}
        back = pydicom.Dataset.from_json(kept,
                                         bulk_data_uri_handler=lambda *_: b"")  # fmt: skip
        for element in made:
            if element.tag in back and element.VR not in ("SQ", "OB", "OW"):
                assert back[element.tag].value == element.value
        for wrong in ("00100010", "7FE00011", "04000500/9/04000520", "7FE00010/1", "x"):
            assert HTTP.get(f"{pixels.rpartition('/')[0]}/{wrong}").status_code == 404, wrong


def test_what_cannot_be_given_as_asked_is_refused(url: str) -> None:
    study = f"{url}/studies/{ROOT}.1"
    for accept in ("application/dicom", "image/jpeg", "multipart/related; type=image/jpeg", "application/dicom; q=0",
                   "multipart/related; type=application/dicom; transfer-syntax=1.2.840.10008.1.2.4.50"):  # fmt: skip
        assert HTTP.get(study, headers={"Accept": accept}).status_code == 406, accept
    assert HTTP.get(f"{study}/metadata", headers={"Accept": "application/dicom+xml"}).status_code == 406
    assert HTTP.get(f"{study}?accept=application/zip").status_code == 406
    assert HTTP.get(study, headers={"Accept": "image/png;q=0.9, */*;q=0.1"}).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "..",
        "%2e%2e",
        "..%2f..%2fetc%2fpasswd",
        "1.2%00",
        "1.2/../1.3",
        "a'%20OR%20'1'='1",
        "%25",
        "1" * 65,
        "1.2;x",
        "*",
    ],
)
def test_tricks_in_the_place_of_uids(url: str, path: str) -> None:
    for where in (f"/studies/{path}", f"/studies/{path}/metadata", f"/studies/{ROOT}.1/series/{path}",
                  f"/studies/{ROOT}.1/series/{ROOT}.1.1/instances/{path}/rendered"):  # fmt: skip
        # A library would tidy the path up.
        connection = http.client.HTTPConnection(url.split("/")[2], timeout=30)
        connection.putrequest("GET", f"/dicomweb{where}")
        connection.endheaders()
        answer = connection.getresponse()
        assert answer.status in (400, 404) and path.encode() not in answer.read(), where
        connection.close()
    assert HTTP.get(f"{url}/studies/1.2.3").status_code == 404


# Rendering


def test_rendered_images_are_what_our_pipeline_shows(tmp_path: Path) -> None:
    from aris.imaging import read_film

    made = image(1, side=64, WindowCenter=2000, WindowWidth=3000)
    path = tmp_path / "1.dcm"
    path.write_bytes(as_bytes(made))
    with Store(tmp_path / "store") as store, web(store) as at:
        client = quick(at)
        client.store_instances([made])
        png = client.retrieve_instance_rendered(*uid(1), media_types=("image/png",))
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(png))), read_film(path).pixels)
        jpeg = client.retrieve_instance_frames_rendered(*uid(1), frame_numbers=[1], media_types=("image/jpeg",))
        shown = Image.open(io.BytesIO(jpeg))
        assert shown.format == "JPEG" and shown.size == (64, 64)
        at_instance = f"{at}/studies/{uid(1)[0]}/series/{uid(1)[1]}/instances/{uid(1)[2]}"

        def look(query: str, what: str = "rendered") -> np.ndarray[Any, Any]:
            answer = HTTP.get(f"{at_instance}/{what}?{query}", headers={"Accept": "image/png"})
            assert answer.status_code == 200, answer.text
            return np.asarray(Image.open(io.BytesIO(answer.content)))

        narrow = look("window=1000,2,linear")
        stored = made.pixel_array
        assert np.array_equal(narrow, np.where(stored > 999, 255, 0)) or set(np.unique(narrow)) <= {0, 128, 255}
        assert (narrow[stored > 1000] == 255).all() and (narrow[stored < 999] == 0).all()
        assert look("viewport=32,100").shape == (32, 32)
        assert np.array_equal(look("viewport=64,64,0,0,-64,64"), look("")[:, ::-1])
        assert look("viewport=10,10,5,6,10,10").shape == (10, 10)
        assert look("", "thumbnail").shape == (128, 128)
        small = HTTP.get(f"{at_instance}/rendered?quality=5").content
        assert len(small) < len(HTTP.get(f"{at_instance}/rendered?quality=100").content)
        for scope in (f"{at}/studies/{uid(1)[0]}", f"{at}/studies/{uid(1)[0]}/series/{uid(1)[1]}"):
            assert HTTP.get(f"{scope}/thumbnail").headers["content-type"] == "image/jpeg"
        for wrong in ("window=1", "window=1,0,linear", "window=1,2,cubic", "window=nan,2,linear", "viewport=0,0",
                      "viewport=1",
                      "viewport=99999,5", "viewport=5,5,60,60,60,60", "quality=0", "quality=x"):  # fmt: skip
            assert HTTP.get(f"{at_instance}/rendered?{wrong}").status_code == 400, wrong
        assert HTTP.get(f"{at_instance}/rendered", headers={"Accept": "image/gif"}).status_code == 406
        assert HTTP.get(f"{at_instance}/frames/1,1/rendered").status_code == 406


def test_every_shipped_image_is_rendered_or_refused() -> None:
    shown = []
    for path in shipped():
        try:
            made = rendering.render(parse(path.read_bytes(), "x"), 0, rendering.Rendering())
        except (WebError, ObjectError):
            continue
        assert Image.open(io.BytesIO(made)).format == "JPEG"
        shown.append(path.name)
    assert len(shown) > 55, shown


# Who may call


def test_an_address_that_others_can_reach_needs_a_key(store: Store) -> None:
    with pytest.raises(ArisError, match="needs a key"):
        DicomwebSettings(host="0.0.0.0")
    with pytest.raises(ArisError, match="origin"):
        DicomwebSettings(origins=("*",))
    with web(store, api_key="secret") as at:
        assert HTTP.get(f"{at}/studies").status_code == 401
        assert post(at, body(as_bytes(image(1)))).status_code == 401
        assert HTTP.get(f"{at}/studies", headers={"Authorization": "Bearer secret"}).status_code == 200
    assert "secret" not in repr(DicomwebSettings(api_key="secret"))


def test_web_pages_of_elsewhere_are_refused_but_for_the_viewer_s(store: Store) -> None:
    with web(store, origins=("http://viewer.example",)) as at:
        assert HTTP.get(f"{at}/studies", headers={"Origin": "http://evil.example"}).status_code == 403
        assert HTTP.get(f"{at}/studies", headers={"Host": "evil.example"}).status_code == 403
        page = {"Origin": "http://viewer.example", "Sec-Fetch-Site": "cross-site"}
        answer = HTTP.get(f"{at}/studies", headers=page)
        assert answer.status_code == 200 and answer.headers["access-control-allow-origin"] == "http://viewer.example"
        asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
        assert HTTP.options(f"{at}/studies", headers=page | asked).status_code == 200


def test_more_requests_than_may_be_are_told_to_come_again(store: Store) -> None:
    with web(store, limits=DicomwebLimits(requests=1)) as at:
        waiting, going = threading.Event(), threading.Event()

        def slowly() -> Iterator[bytes]:
            yield b"--B"
            waiting.set()
            going.wait(20)

        with ThreadPoolExecutor(1) as pool:
            held = pool.submit(HTTP.post, f"{at}/studies", content=slowly(), headers={"Content-Type": RELATED})
            assert waiting.wait(20)
            busy = HTTP.get(f"{at}/studies")
            assert busy.status_code == 503 and int(busy.headers["retry-after"]) > 0
            going.set()
            assert held.result().status_code == 400
        assert HTTP.get(f"{at}/studies").status_code == 200


# The HTTP below


@hypothesis_settings(max_examples=60, deadline=None)
@given(
    contents=st.lists(
        st.binary(max_size=60) | st.sampled_from([b"\r\n--B", b"--B--", b"\r\n", b"\r\n--BB\r\n\r\nx"]), max_size=5
    ),
    cuts=st.lists(st.integers(0, 600), max_size=8),
)
def test_a_body_is_cut_alike_however_it_arrives(contents: list[bytes], cuts: list[int]) -> None:
    # A boundary that a content holds would not have been chosen by its sender.
    contents = [
        each
        for each in contents
        if b"\r\n--B\r\n" not in b"\r\n" + each + b"\r\n" and b"\r\n--B--" not in b"\r\n" + each
    ]
    whole = body(*contents) if contents else b"--B--"
    reader = PartReader("B", 1000)
    edges = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    parts: list[Part] = []
    for start, end in pairwise(edges):
        parts += reader.feed(whole[start:end])
    reader.finish()
    assert [part.data for part in parts] == contents


def test_a_part_that_is_too_large_is_not_held() -> None:
    reader = PartReader("B", 1000)
    parts = list(reader.feed(b"preamble\r\n--B  \r\nContent-Type: a/b;\r\n  c=d\r\n\r\n"))
    for _ in range(100):
        parts += reader.feed(b"x" * 500)
        assert reader.held < 2500
    parts += reader.feed(b"\r\n--B\r\n\r\nsmall\r\n--B--\r\nepilogue")
    reader.finish()
    assert [(part.data, part.too_large) for part in parts] == [(b"", True), (b"small", False)]
    assert parts[0].headers == {"content-type": "a/b; c=d"}


def test_accept_headers() -> None:
    ranges = media.accepted(
        'image/png;q=0.5, multipart/related; type="application/dicom"; transfer-syntax=*, text/*;q=0'
    )
    assert [(each.kind, each.multipart, each.transfer_syntax) for each in ranges] == [
        ("application/dicom", True, "*"), ("image/png", False, None)
    ]  # fmt: skip
    assert media.accepted(None) == media.accepted("") == [media.MediaRange("*/*")]
    assert media.parse('multipart/related; type="image/x-jls"').takes("image/jls")
    assert media.content_type('a/b; x="1;2, 3"; Y=z') == ("a/b", {"x": "1;2, 3", "y": "z"})
    with pytest.raises(WebError):
        PartReader("no good ", 1)


# As a process


@contextmanager
def node_process(
    folder: Path, *options: str | Path, **environment: str
) -> Iterator[tuple[subprocess.Popen[str], str, list[str]]]:
    """`aris node serve --dicomweb` as a process of its own: it, DICOMweb's URL, and the lines that it has logged."""
    command = [sys.executable, "-m", "aris.cli", "node", "serve", "--store", folder, "--port", "0", "--dicomweb", "0"]
    process = subprocess.Popen(
        [*map(str, command), *map(str, options)], stderr=subprocess.PIPE, text=True, env=os.environ | environment
    )
    lines: list[str] = []
    assert process.stderr is not None
    while not (lines and lines[-1].startswith("DICOMweb at ")):
        line = process.stderr.readline()
        assert line, lines
        lines.append(line)
    url = lines[-1].split()[2].rstrip(";")
    reader = threading.Thread(target=lambda: lines.extend(process.stderr or ()), daemon=True)
    reader.start()
    try:
        yield process, url, lines
    finally:
        process.terminate()
        assert process.wait(30) in (0, -9, 143)
        reader.join(10)


def test_a_process_that_is_killed_has_what_it_acknowledged(tmp_path: Path) -> None:
    acknowledged: list[str] = []
    enough = threading.Event()

    def feed(number: int) -> None:
        for each in range(1, 26):
            made = image(each, series=number, side=64)
            try:
                if post(at, body(as_bytes(made))).status_code != 200:
                    return
            except httpx2.HTTPError:
                return
            acknowledged.append(str(made.SOPInstanceUID))
            if len(acknowledged) >= 40:
                enough.set()

    with node_process(tmp_path / "store") as (process, at, _), ThreadPoolExecutor(8) as pool:
        running = [pool.submit(feed, number) for number in range(1, 9)]
        assert enough.wait(60)
        process.kill()
        assert not [each for each in running if each.exception()]
    assert 40 <= len(acknowledged) < 200, "it was to be killed in the middle"
    with Store(tmp_path / "store") as store:
        for uid in acknowledged:
            number, series = (int(part) for part in (uid.rsplit(".", 2)[2], uid.rsplit(".", 2)[1]))
            kept = pydicom.dcmread(io.BytesIO(store.read(uid)))
            assert kept.PixelData == image(number, series=series, side=64).PixelData


def test_tls_a_key_and_logs_that_name_nobody(tmp_path: Path) -> None:
    certificate, key = tmp_path / "c.pem", tmp_path / "k.pem"
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
         "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate], capture_output=True, check=False,
    )  # fmt: skip
    if made.returncode:
        pytest.skip("openssl is not installed")
    options = ["--tls-cert", certificate, "--tls-key", key, "--json"]
    planted = image(1, PatientName="ZQSECRET^ANNA", PatientID="ZQSECRET-7")
    with node_process(tmp_path / "ZQstore", *options, ARIS_API_KEY="hidden-key") as (_, at, lines):
        assert at.startswith("https://127.0.0.1:")
        context = ssl.create_default_context(cafile=str(certificate))
        with httpx2.Client(verify=context, headers={"Authorization": "Bearer hidden-key"}) as https:
            answer = https.post(f"{at}/studies", content=body(as_bytes(planted)), headers={"Content-Type": RELATED})
            assert answer.status_code == 200 and answer.json()["00081190"]["Value"][0].startswith(at)
            assert "ZQSECRET" in https.get(f"{at}/studies?PatientName=ZQSECRET*").text  # it is there to be found
            assert https.get(f"{at}/studies?PatientComments=ZQSECRET").status_code == 400
            assert https.get(f"{at}/studies/ZQSECRET").status_code == 400
            https.post(f"{at}/studies", content=b"ZQSECRET", headers={"Content-Type": RELATED})
            https.post(f"{at}/studies", content=body(b"ZQSECRET"), headers={"Content-Type": RELATED})
            assert httpx2.get(f"{at}/studies", verify=context).status_code == 401
    logged = "".join(lines)
    assert "POST /studies 200" in logged and "ZQSECRET" not in logged and "hidden-key" not in logged
