"""The node against pynetdicom's and DCMTK's senders: what it acknowledges it has, whatever goes wrong."""

from __future__ import annotations

import io
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom import AE, build_context
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import encode

from aris.errors import ExchangeError
from aris.exchange.node.peers import Peer, echo, send
from aris.exchange.node.server import FULL, MISMATCH, NOT_UNDERSTOOD, Node, NodeSettings
from aris.store.store import Added, Store
from dicom_objects import CT, DX, ROOT, as_bytes, image

# ARIS_NODE_OBJECTS=1000 is the whole run; continuous integration takes a short one.
OBJECTS = int(os.environ.get("ARIS_NODE_OBJECTS", "96"))
DCMTK = Path("/usr/bin")  # beside pynetdicom's tools of the same names


def dcmtk(name: str) -> str:
    path = DCMTK / name
    if not path.exists():
        pytest.skip("DCMTK is not installed")
    return str(path)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store") as opened:
        yield opened


def settings(**changes: Any) -> NodeSettings:
    return NodeSettings(**({"port": 0, "timeout_s": 120.0} | changes))


def peer(node: Node) -> Peer:
    return Peer("ARIS", "127.0.0.1", node.port)


def associate(port: int, title: str = "SENDER", contexts: Any = None) -> Any:
    entity = AE(ae_title=title)
    entity.acse_timeout = entity.dimse_timeout = 120
    return entity.associate("127.0.0.1", port, contexts or [build_context(DX), build_context(CT)])


def save(folder: Path, count: int, **keywords: Any) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(1, count + 1):
        path = folder / f"{number}.dcm"
        path.write_bytes(as_bytes(image(number, study=number % 5 + 1, **keywords)))
        paths.append(path)
    return paths


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < end, "it never came to hold"
        time.sleep(0.01)


def answers(node: Node) -> bool:
    try:
        echo(peer(node))
    except ExchangeError:
        return False
    return True


def pixels_kept(store: Store, uid: str, side: int = 16) -> bool:
    sent = image(int(uid.rpartition(".")[2]), side=side)
    return bool(pydicom.dcmread(store.find(uid).file.path).PixelData == sent.PixelData)  # type: ignore[union-attr]


def test_echo_and_what_refuses_it(store: Store) -> None:
    with Node(store, settings(allowed=("FRIEND",), called_title_required=True)) as node:
        echo(peer(node), ae_title="FRIEND")
        with pytest.raises(ExchangeError, match="refused"):
            echo(peer(node), ae_title="STRANGER")
        with pytest.raises(ExchangeError, match="refused"):
            echo(Peer("OTHER", "127.0.0.1", node.port), ae_title="FRIEND")
        gone = peer(node)
    with pytest.raises(ExchangeError, match="cannot be reached"):
        echo(gone, timeout_s=2)


def test_objects_sent_are_stored_and_can_be_sent_on(store: Store, tmp_path: Path) -> None:
    heard: list[tuple[Added, str]] = []
    files = save(tmp_path / "in", 6)
    with Node(store, settings(), lambda added, source: heard.append((added, source))) as node:
        assert [each.error for each in send(files, peer(node), ae_title="CT7")] == [""] * 6
        assert [each.error for each in send(files, peer(node))] == [""] * 6  # again: acknowledged, kept once
        assert store.counts()["instances"] == 6 and store.counts()["copies"] == 6
        assert [added.outcome for added, _ in heard] == ["stored"] * 6 + ["known"] * 6
        assert heard[0][1] == "CT7" and store.senders(f"{ROOT}.2") == ["CT7"]
        assert all(pixels_kept(store, added.uid) for added, _ in heard)
        with Store(tmp_path / "second") as second, Node(second, settings()) as other:
            onward = [found.file.path for found in store.instances()]
            assert all(not each.error for each in send(onward, peer(other)))
            # What is passed on is the same file, byte for byte.
            assert {found.digest for found in second.instances()} == {found.digest for found in store.instances()}


def test_compressed_objects_stay_as_they_were(store: Store) -> None:
    names = ["JPEG2000.dcm", "SC_rgb_rle.dcm", "JPEG-lossy.dcm"]
    files = [Path(str(pydicom.data.get_testdata_file(name))) for name in names]
    with Node(store, settings()) as node:
        assert [each.error for each in send(files, peer(node))] == ["", "", ""]
    for path, found in zip(files, store.instances(), strict=True):
        sent, kept = pydicom.dcmread(path), pydicom.dcmread(found.file.path)
        assert kept.file_meta.TransferSyntaxUID == sent.file_meta.TransferSyntaxUID
        assert kept.PixelData == sent.PixelData


def test_statuses_say_what_is_wrong(store: Store, tmp_path: Path) -> None:
    with Node(store, settings()) as node:
        association = associate(node.port, contexts=[build_context(DX, ImplicitVRLittleEndian)])
        association._reactor_checkpoint.clear()  # its thread would take the answers
        until(lambda: association._is_paused)

        def announce(dataset: Any, uid: str) -> int:
            request = C_STORE()
            request.MessageID, request.Priority = 1, 2
            request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = DX, uid
            request.DataSet = io.BytesIO(dataset if isinstance(dataset, bytes) else encode(dataset, True, True))
            association.dimse.send_msg(request, 1)
            _, answer = association.dimse.get_msg(block=True)
            return int(answer.Status)

        assert announce(image(1), "1.2.3") == MISMATCH
        assert announce(b"\x01\x02\x03 no dataset", "1.2.3") == NOT_UNDERSTOOD
        assert announce(image(1), image(1).SOPInstanceUID) == 0
        association._reactor_checkpoint.set()
        association.release()
    assert store.counts()["instances"] == 1
    with Store(tmp_path / "full", reserve_bytes=1 << 60) as full, Node(full, settings()) as node:
        association = associate(node.port)
        assert association.send_c_store(image(1)).Status == FULL
        assert association.is_established  # refused, not dropped: the sender may go on
        association.release()
        (outcome,) = send(save(tmp_path / "one", 1), peer(node))
        assert "out of room" in outcome.error


def test_more_associations_than_allowed_are_refused_as_transient(store: Store) -> None:
    with Node(store, settings(associations=2)) as node:
        held = [associate(node.port) for _ in range(2)]
        assert all(each.is_established for each in held)
        with pytest.raises(ExchangeError, match="busy"):
            echo(peer(node))
        held[0].release()
        until(lambda: answers(node))  # the place is free once the association's thread has ended
        assert held[1].send_c_store(image(1)).Status == 0
        held[1].release()


def test_an_association_cut_in_the_middle_of_an_object_stores_nothing_and_harms_nobody(store: Store) -> None:
    with Node(store, settings()) as node:
        cut, other = associate(node.port), associate(node.port)
        assert cut.send_c_store(image(1)).Status == 0

        raw = cut.dul.socket.socket
        real_send = raw.send
        sent = 0

        def send_half(data: bytes) -> int:
            nonlocal sent
            if sent > 40_000:
                raw.shutdown(socket.SHUT_RDWR)
                raise OSError("cut")
            sent += len(data[:8192])
            return int(real_send(data[:8192]))

        class Cutting:
            def __getattr__(self, name: str) -> Any:
                return send_half if name == "send" else getattr(raw, name)

        cut.dul.socket.socket = Cutting()
        big = image(2, side=400)
        assert "Status" not in cut.send_c_store(big)
        assert other.send_c_store(image(3)).Status == 0
        other.release()
        aborted = associate(node.port)
        assert aborted.send_c_store(image(4)).Status == 0
        aborted.abort()
        again = associate(node.port)
        assert again.send_c_store(big).Status == 0  # what had no answer is sent again
        again.release()
    assert store.counts()["instances"] == 4
    assert not list((store.folder / "objects" / "incoming").iterdir())


def test_an_object_beyond_the_limit_ends_its_association_only(store: Store) -> None:
    with Node(store, settings(object_bytes=200_000)) as node:
        association = associate(node.port)
        assert association.send_c_store(image(1)).Status == 0
        assert "Status" not in association.send_c_store(image(2, side=1000))
        other = associate(node.port)
        assert [other.send_c_store(image(n, side=200)).Status for n in (3, 4, 5)] == [0, 0, 0]  # 80 kB each
        other.release()
    assert store.counts()["instances"] == 4


SENDERS = ["aris", "pynetdicom storescu", "storescu", "dcmsend"]


def sending(sender: str, port: int, files: list[Path]) -> list[str]:
    """The command of a sender in one association; what it is told goes to its output, response by response."""
    where = ["127.0.0.1", str(port), *map(str, files)]
    if sender == "pynetdicom storescu":
        return [sys.executable, "-m", "pynetdicom", "storescu", "-v", "-cx", *where]
    return [dcmtk(sender), *(["--no-halt"] if sender == "dcmsend" else []), "-v", *where]


def told(output: str, files: list[Path]) -> list[Path]:
    """The files that a sender was told are stored."""
    found, current, answers = [], None, 0
    for line in output.splitlines():
        if "Sending file: " in line:
            current = Path(line.partition("Sending file: ")[2].strip())
        elif "Response" in line and "Success" in line:
            found.append(files[answers] if current is None else current)
            answers += 1
    return found


def send_with_pynetdicom(files: list[Path], port: int) -> list[int]:
    association = associate(port)
    found = [int(association.send_c_store(pydicom.dcmread(path)).Status) for path in files]
    association.release()
    return found


@pytest.mark.parametrize("sender", ["aris", "pynetdicom", *SENDERS[2:]])
def test_many_objects_in_eight_associations_are_all_stored_once(store: Store, tmp_path: Path, sender: str) -> None:
    files = save(tmp_path / "in", OBJECTS)
    shares = [files[i::8] for i in range(8)]
    with Node(store, settings()) as node:
        if sender == "aris":
            with ThreadPoolExecutor(8) as pool:
                results = list(pool.map(lambda share: send(share, peer(node)), shares))
            assert not [each.error for share in results for each in share if each.error]
        elif sender == "pynetdicom":
            with ThreadPoolExecutor(8) as pool:
                statuses = list(pool.map(lambda share: send_with_pynetdicom(share, node.port), shares))
            assert statuses == [[0] * len(share) for share in shares]
        else:
            running = [
                subprocess.Popen(sending(sender, node.port, share), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
                for share in shares
            ]
            outputs = [each.communicate(timeout=300)[0].decode() for each in running]
            assert [each.returncode for each in running] == [0] * 8
            for output, share in zip(outputs, shares, strict=True):
                assert sorted(told(output, share)) == sorted(share)
    assert store.counts() == {"studies": 5, "series": 5, "instances": OBJECTS, "copies": OBJECTS}
    assert all(pixels_kept(store, found.uid) for found in store.instances())


def test_dcmtk_s_echo_and_store(store: Store, tmp_path: Path) -> None:
    files = save(tmp_path / "in", 3)
    with Node(store, settings()) as node:
        where = ["127.0.0.1", str(node.port)]
        assert subprocess.run([dcmtk("echoscu"), "-aec", "ARIS", *where], check=False).returncode == 0
        assert subprocess.run([dcmtk("storescu"), *where, *map(str, files)], check=False).returncode == 0
    assert store.counts()["instances"] == 3


@pytest.mark.parametrize("sender", SENDERS if "ARIS_NODE_OBJECTS" in os.environ else ["aris", "storescu"])
def test_a_node_that_is_killed_has_every_object_that_it_acknowledged(tmp_path: Path, sender: str) -> None:
    count = max(200, OBJECTS)
    files = save(tmp_path / "in", count, side=64)
    shares = [files[i::8] for i in range(8)]
    acknowledged: set[Path] = set()
    process, port = start_node(tmp_path / "store")
    if sender == "aris":

        def feed(share: list[Path]) -> None:
            association = associate(port)
            for path in share:
                try:
                    status = association.send_c_store(pydicom.dcmread(path)) if association.is_established else None
                except (RuntimeError, ValueError, OSError):
                    return
                if status is None or status.get("Status") != 0:
                    return
                acknowledged.add(path)

        threads = [threading.Thread(target=feed, args=(share,), daemon=True) for share in shares]
        for thread in threads:
            thread.start()
        until(lambda: len(acknowledged) >= 40)
        process.kill()
        for thread in threads:
            thread.join(60)
    else:
        logs = [tmp_path / f"{number}.log" for number in range(8)]
        running = []
        for log, share in zip(logs, shares, strict=True):
            with log.open("wb") as out:
                running.append(subprocess.Popen(sending(sender, port, share), stdout=out, stderr=subprocess.STDOUT))
        until(lambda: sum(log.read_text().count("Success") for log in logs) >= 40)
        process.kill()
        for each in running:  # some of the tools end with 0 all the same
            each.wait(60)
        for log, share in zip(logs, shares, strict=True):
            acknowledged.update(told(log.read_text(), share))
    process.wait()
    assert 40 <= len(acknowledged) < count, "the node was to be killed in the middle"
    with Store(tmp_path / "store") as store:
        assert all(pixels_kept(store, str(pydicom.dcmread(each).SOPInstanceUID), side=64) for each in acknowledged)
    # Started again, it takes the rest, and nothing twice.
    process, port = start_node(tmp_path / "store")
    try:
        assert all(not each.error for each in send(files, Peer("ARIS", "127.0.0.1", port)))
    finally:
        process.terminate()
        assert process.wait(30) in (0, 143)
    with Store(tmp_path / "store") as store:
        assert store.counts()["instances"] == store.counts()["copies"] == count
        assert not list((tmp_path / "store" / "objects" / "incoming").iterdir())


@contextmanager
def small_disk(folder: Path, mib: int) -> Iterator[Path]:
    """A file system of a few MiB."""
    folder.mkdir()
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("mounting needs root")
    mount = ["mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", folder]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_node_on_a_disk_that_is_really_full_refuses_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 16) as disk:
        ballast = disk / "ballast"
        ballast.write_bytes(b"\0" * (14 << 20))
        process, port = start_node(disk / "store", "--reserve-mb", "0")
        try:
            association = associate(port)
            statuses = [association.send_c_store(image(n, side=256)).get("Status") for n in range(1, 16)]
            # Then by crumbs, so that the database, too, finds no room.
            crumbs = [association.send_c_store(image(n, series=2, side=8)).get("Status") for n in range(1, 200)]
            assert set(statuses) == {0, FULL} and FULL in crumbs and set(crumbs) <= {0, FULL}
            assert association.send_c_store(image(500, side=256)).get("Status") == FULL  # refused, never dropped
            echo(Peer("ARIS", "127.0.0.1", port))
            with Store(disk / "store", reserve_bytes=0) as store:
                assert_kept(store, statuses, crumbs)
            ballast.unlink()
            assert association.send_c_store(image(500, side=256)).get("Status") == 0
            again = [association.send_c_store(image(n, series=2, side=8)).get("Status") for n in range(1, 200)]
            assert set(again) == {0}
            association.release()
        finally:
            process.terminate()
            assert process.wait(30) in (0, 143)
        with Store(disk / "store", reserve_bytes=0) as store:
            assert_kept(store, statuses, crumbs)
            assert store.counts()["instances"] == store.counts()["copies"] == statuses.count(0) + 1 + 199
            assert not list((disk / "store" / "objects" / "incoming").iterdir())


def assert_kept(store: Store, statuses: list[int], crumbs: list[int]) -> None:
    """Every object that had a success is there, bit by bit."""
    for series, side, answers in ((1, 256, statuses), (2, 8, crumbs)):
        for number, status in enumerate(answers, 1):
            if status == 0:
                sent = image(number, series=series, side=side)
                kept = pydicom.dcmread(io.BytesIO(store.read(sent.SOPInstanceUID)))
                assert kept.PixelData == sent.PixelData


def test_another_content_under_a_known_uid_is_kept_beside_the_first(store: Store) -> None:
    heard: list[str] = []
    with Node(store, settings(), lambda added, _: heard.append(added.outcome)) as node:
        association = associate(node.port)
        for comment, status in (("first", 0), ("first", 0), ("second", 0xB00E)):
            assert association.send_c_store(image(1, ImageComments=comment)).Status == status
        association.release()
    assert heard == ["stored", "known", "kept beside"]
    assert store.counts()["instances"] == 1 and store.counts()["copies"] == 2
    assert pydicom.dcmread(io.BytesIO(store.read(image(1).SOPInstanceUID))).ImageComments == "first"


def start_node(folder: Path, *options: str) -> tuple[subprocess.Popen[str], int]:
    """`aris node serve` as a process of its own."""
    command = [sys.executable, "-m", "aris.cli", "node", "serve", "--store", str(folder), "--port", "0", *options]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    line = process.stderr.readline()
    assert " listens at " in line, line
    threading.Thread(target=process.stderr.read, daemon=True).start()
    return process, int(line.split(" listens at ")[1].split(";")[0].rpartition(":")[2])


def test_peers_are_read_as_they_are_written() -> None:
    assert Peer.parse("PACS@10.0.0.5:104") == Peer("PACS", "10.0.0.5", 104)
    assert str(Peer.parse("A B@[::1]:11112")) == "A B@[::1]:11112"
    for wrong in ("PACS", "PACS@host", "@host:1", "PACS@h:0", "PACS@h:70000", "SEVENTEENLETTERSX@h:1", "A\\B@h:1"):
        with pytest.raises(ExchangeError, match="AETITLE@HOST:PORT"):
            Peer.parse(wrong)


def test_wrong_settings_and_addresses_are_one_line(store: Store) -> None:
    with pytest.raises(ExchangeError, match="no AE title"):
        NodeSettings(ae_title="")
    with Node(store, settings()) as node, pytest.raises(ExchangeError, match="choose another"):
        Node(store, settings(port=node.port)).start()


# What a node takes, beside today's classes and codecs: retired ultrasound (2), nuclear medicine, XA bi-plane, private,
# and of a later edition of the standard.
CLASSES = [
    "1.2.840.10008.5.1.4.1.1.3", "1.2.840.10008.5.1.4.1.1.6", "1.2.840.10008.5.1.4.1.1.5",
    "1.2.840.10008.5.1.4.1.1.12.3", "1.3.46.670589.5.0.1.1", "1.2.840.10008.5.1.4.1.1.999.1",
]  # fmt: skip
# MPEG-2, MPEG-4 (5), HEVC (2), JPEG XL (3), JPEG 2000 part 2 (2), JPIP (2), deflated frames, retired JPEG, private.
SYNTAXES = [
    "1.2.840.10008.1.2.4.100", "1.2.840.10008.1.2.4.101", "1.2.840.10008.1.2.4.102", "1.2.840.10008.1.2.4.103",
    "1.2.840.10008.1.2.4.104", "1.2.840.10008.1.2.4.105", "1.2.840.10008.1.2.4.106", "1.2.840.10008.1.2.4.107",
    "1.2.840.10008.1.2.4.108", "1.2.840.10008.1.2.4.110", "1.2.840.10008.1.2.4.111", "1.2.840.10008.1.2.4.112",
    "1.2.840.10008.1.2.4.92", "1.2.840.10008.1.2.4.93", "1.2.840.10008.1.2.4.94", "1.2.840.10008.1.2.4.95",
    "1.2.840.10008.1.2.8.1", "1.2.840.10008.1.2.4.55", "1.2.826.0.1.3680043.8.498.1.99",
]  # fmt: skip


def odd_object(number: int, sop_class: str = DX, syntax: str = "") -> Any:
    made = image(number, SOPClassUID=sop_class)
    if number == 1:
        made.SOPInstanceUID = f"{ROOT}.007"  # PS3.5 9.1 does not allow it, archives have it
    if syntax:
        made.PixelData = pydicom.encaps.encapsulate([b"any codec's stream"])
        made["PixelData"].VR, made["PixelData"].is_undefined_length = "OB", True
    return made


def odd_bytes(number: int, sop_class: str = DX, syntax: str = "") -> bytes:
    """A file in a transfer syntax that pydicom may not know."""
    from aris.store.objects import file_bytes

    made = odd_object(number, sop_class, syntax)
    out = pydicom.filebase.DicomBytesIO()
    out.is_little_endian, out.is_implicit_VR = True, False
    pydicom.filewriter.write_dataset(out, made)
    return file_bytes(out.getvalue(), sop_class, made.SOPInstanceUID, syntax or pydicom.uid.ExplicitVRLittleEndian)


def test_a_store_takes_every_class_in_every_encoding_and_sends_it_on_as_it_was(store: Store, tmp_path: Path) -> None:
    kinds = [(each, "") for each in CLASSES] + [(DX, each) for each in SYNTAXES] + [(CLASSES[4], SYNTAXES[-1])]
    sent = {}
    for number, (sop_class, syntax) in enumerate(kinds, 1):
        path = tmp_path / f"{number}.dcm"
        path.write_bytes(odd_bytes(number, sop_class, syntax))
        sent[path] = path.read_bytes()
    with Store(tmp_path / "second") as second, Node(store, settings()) as node, Node(second, settings()) as other:
        assert {each.path.name: each.error for each in send(list(sent), peer(node))} == {p.name: "" for p in sent}
        assert sorted(each.file.read() for each in store.instances()) == sorted(sent.values())
        kept = [found.file.path for found in store.instances()]
        assert not [each.error for each in send(kept, peer(other)) if each.error]
        assert {each.digest for each in second.instances()} == {each.digest for each in store.instances()}


def test_of_several_offered_encodings_what_loses_nothing_is_taken_and_other_services_are_refused(store: Store) -> None:
    lossy, lossless, plain = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.70", pydicom.uid.ExplicitVRLittleEndian
    contexts = [
        build_context(DX, [lossy, lossless, plain]), build_context(CLASSES[4], [lossy, lossless]),
        build_context(CT, [SYNTAXES[-1], SYNTAXES[0]]),
        build_context("1.2.840.10008.5.1.4.1.2.2.1"),  # C-FIND of studies
    ]  # fmt: skip
    with Node(store, settings()) as node:
        association = associate(node.port, contexts=contexts)
        taken = {each.abstract_syntax: each.transfer_syntax for each in association.accepted_contexts}
        refused = [each.abstract_syntax for each in association.rejected_contexts]
        association.release()
    assert taken == {DX: [plain], CLASSES[4]: [lossless], CT: [SYNTAXES[0]]}
    assert refused == ["1.2.840.10008.5.1.4.1.2.2.1"]
