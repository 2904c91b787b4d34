"""Orders in by HL7 v2 and from a worklist, reports out by HL7 v2, priors by identity; with peers that are not ours."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import hl7
import hl7.mllp
import pytest
from clinic import PASSWORD, STUDY, Clinic

from aris.errors import ExchangeError
from aris.exchange.node.peers import Peer
from aris.exchange.orders.hl7_orders import orders_of
from aris.exchange.orders.hl7_reports import oru_message
from aris.exchange.orders.hl7_text import Hl7Error, charset_of, parse, segments, value
from aris.exchange.orders.mllp import END, START, MllpServer, send_message
from aris.exchange.orders.modality_worklist import query_worklist
from aris.flow.orders import keep_orders, take_message
from aris.flow.outgoing.delivery import deliver_next
from aris.flow.reading.priors import priors, same_patient
from aris.flow.reading.worklist import worklist
from aris.imaging.dicom.patients import Patient
from aris.store.reading import orders
from dicom_objects import ROOT, as_bytes

ORM = (
    "MSH|^~\\&|RIS|Haus|ARIS|ARIS|202611300800||ORM^O01^ORM_O01|42|P|2.5.1||||||{charset}\r"
    "PID|1||999^^^Kasse^SS~P1^^^KH^MR||Müller&von^Ana1^B^Jr^Dr||19800101|F\r"
    "ORC|{control}|PL1^RIS|FI1^RIS||||^^^20261130090000^^{priority}|||||R1^Röntgen^Wilhelm^^^Prof\r"
    "OBR|1|PL1|FI1|71045^Thorax ap \\T\\ lateral^L|||||||||Sturz \\.br\\ Übelkeit|||||A1||||||||||^^^^^{priority}\r"
    "ZDS|{study}^Aris^Application^DICOM\r"
)


def message(charset: str = "UNICODE UTF-8", encoding: str = "utf-8", **changes: str) -> bytes:
    values = {"control": "NW", "priority": "S", "study": STUDY} | changes
    return ORM.format(charset=charset, **values).encode(encoding)


@pytest.mark.parametrize(
    ("charset", "encoding"),
    [("UNICODE UTF-8", "utf-8"), ("8859/1", "iso-8859-1"), ("8859/15", "iso-8859-15"), ("", "utf-8"), ("", "cp1252"),
     ("UNICODE UTF-8~8859/1", "utf-8")],
)  # fmt: skip
def test_an_order_is_read_in_the_character_set_of_msh_18(charset: str, encoding: str) -> None:
    (order,) = orders_of(parse(message(charset, encoding)))
    assert order.patient == Patient("P1", "KH", "Müller^Ana1^B^Dr^Jr", "19800101", "F")
    assert (order.placer, order.filler, order.accession, order.study_uid) == ("PL1", "FI1", "A1", STUDY)
    assert (order.urgency, order.status, order.scheduled) == ("stat", "active", "20261130090000")
    assert order.procedure == "Thorax ap & lateral" and order.reason == "Sturz \n Übelkeit"
    assert order.referrer == "Röntgen^Wilhelm^^Prof"


def test_what_is_no_order_is_refused() -> None:
    numberless = message(study="").replace(b"PL1^RIS|FI1^RIS", b"|").replace(b"PL1|FI1", b"|").replace(b"|A1|", b"||")
    for data, told in (
        (b"", "MSH"), (b"hello", "MSH"), (message("KLINGON"), "not known"),
        (message("UNICODE UTF-8", "cp1252"), "not in the"),
        (message().replace(b"ORM^O01^ORM_O01", b"ADT^A01"), "not taken"), (message().split(b"ORC")[0], "no order"),
        (numberless, "number"),
    ):  # fmt: skip
        with pytest.raises(Hl7Error, match=told):
            orders_of(parse(data))
    assert charset_of(b"\xef\xbb\xbf" + message("8859/1")) == "iso-8859-1"


def test_others_sample_messages_are_read(data_dir: Path) -> None:
    found = sorted((data_dir / "hl7v2_samples").glob("ORM-O01-*.hl7"))
    if not found:
        pytest.skip("no samples here")
    for path in found:
        for order in orders_of(parse(path.read_bytes())):
            assert order.key and order.patient.identifier, path.name
    (first,) = orders_of(parse((data_dir / "hl7v2_samples" / "ORM-O01-01.hl7").read_bytes()))
    assert (first.placer, first.procedure) == ("1101", "CT Head")
    assert first.patient.name.startswith("EVERYMAN^ADAM^A^Dr.")


def test_an_order_before_or_after_its_images_moves_the_study_up(clinic: Clinic) -> None:
    take_message(clinic.house, message(study=""))  # before: known by its accession number
    for study in (2, 1):
        clinic.drafted(study=study)
        clinic.later(minutes=1)
    entries = worklist(clinic.house, now=clinic.now).entries
    assert [each.study for each in entries] == [STUDY, f"{ROOT}.2"] and entries[0].urgency == "stat"
    assert entries[0].reason.startswith("STAT order; urgent: pneumonia 0.93: over the operating point; waits ")
    assert clinic.room.open("ana", STUDY).sections.indication == "Sturz \n Übelkeit"
    take_message(clinic.house, message(control="CA"))
    assert worklist(clinic.house, now=clinic.now).entries[0].study == f"{ROOT}.2"
    other = message(study=f"{ROOT}.2", control="NW").replace(b"P1^^^KH", b"P2^^^KH").replace(b"Ana1", b"Ana2")
    take_message(clinic.house, other.replace(b"|A1|", b"|A2|"))
    assert worklist(clinic.house, now=clinic.now).entries[0].urgency == "stat"
    # An order of another patient under the same accession number is nobody's.
    take_message(clinic.house, message(study=f"{ROOT}.1"))
    take_message(clinic.house, message(study=f"{ROOT}.1", control="CA"))
    of_another = message().replace(b"19800101", b"19500101").replace(b"P1^^^KH", b"P7^^^KH")
    take_message(clinic.house, of_another)
    with clinic.store.sessions.reading() as session:
        assert len(orders.all_of(session)) == 3
    assert {each.study: each.urgency for each in worklist(clinic.house, now=clinic.now).entries}[STUDY] == "routine"


@pytest.fixture
def listening(clinic: Clinic) -> Iterator[MllpServer]:
    with MllpServer(lambda data: take_message(clinic.house, data), port=0) as server:
        yield server


def exchange(port: int, *messages: bytes) -> list[bytes]:
    """As a second end that is not ours: the package hl7's own framing."""

    async def talk() -> list[bytes]:
        reader, writer = await hl7.mllp.open_hl7_connection("127.0.0.1", port, encoding="iso-8859-1")
        answers = []
        for each in messages:
            writer.writeblock(each)
            await writer.drain()
            answers.append(await reader.readblock())
        writer.close()
        return answers

    return asyncio.run(talk())


def test_a_message_is_acknowledged_when_it_is_kept(clinic: Clinic, listening: MllpServer) -> None:
    wrong = message().replace(b"ORM^O01^ORM_O01", b"ADT^A01")
    changed = message(control="XO", priority="A")
    answers = exchange(listening.port, message("8859/1", "iso-8859-1"), wrong, b"nonsense", changed)
    told = [[value(parse(each), segments(parse(each), "MSA")[0], n) for n in (1, 2)] for each in answers]
    assert told == [["AA", "42"], ["AE", "42"], ["AE", ""], ["AA", "42"]]
    with clinic.store.sessions.reading() as session:
        (row,) = orders.all_of(session)
        assert (row.patient_name, row.urgency) == ("Müller^Ana1^B^Dr^Jr", "urgent")
    clinic.store.close()  # now nothing can be kept, and the sender is told to try again
    clinic.store.sessions.__dict__["_engine"] = None
    (answer,) = exchange(listening.port, message())
    assert value(parse(answer), segments(parse(answer), "MSA")[0], 1) == "AR"
    with socket.create_connection(("127.0.0.1", listening.port)) as half:
        half.sendall(START + message()[:40])
    assert exchange(listening.port, message())  # a broken connection stops nobody else


class Receiver:
    """A receiving system by the package hl7, which keeps messages by their control number."""

    def __init__(self) -> None:
        self.held: dict[str, hl7.Message] = {}
        self.arrived = 0
        self.code = "AA"
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()
        assert self._ready.wait(30)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)

        async def serve() -> None:
            server = await hl7.mllp.start_hl7_server(self._take, "127.0.0.1", 0, encoding="utf-8")
            self.port = server.sockets[0].getsockname()[1]
            self._ready.set()

        self._loop.run_until_complete(serve())
        self._loop.run_forever()

    async def _take(self, reader: Any, writer: Any) -> None:
        while not writer.is_closing():
            try:
                found = await reader.readmessage()
            except asyncio.IncompleteReadError:
                break
            self.arrived += 1
            if self.code == "AA":
                self.held[str(found["MSH.F10"])] = found
            writer.writemessage(found.create_ack(self.code))
            await writer.drain()
        writer.close()


def test_a_report_goes_out_as_oru_and_is_held_once(tmp_path: Path, cheap_passwords: None) -> None:
    receiver = Receiver()
    clinic = Clinic(tmp_path, destinations=[{"kind": "hl7", "name": "ris", "to": f"127.0.0.1:{receiver.port}"}])
    take_message(clinic.house, message())
    clinic.drafted()
    clinic.room.edit("ana", STUDY, {"impression": "Erguß | links\n^ & \\ größer."}, base=1)
    clinic.sign(STUDY)
    receiver.code = "AE"
    assert deliver_next(clinic.house, "w", clinic.now) == "failed"
    clinic.later(minutes=1)
    receiver.code = "AA"
    assert deliver_next(clinic.house, "w", clinic.now) == "acknowledged"
    clinic.desk.addend("ana", PASSWORD, STUDY, "Nachtrag.")
    assert deliver_next(clinic.house, "w", clinic.now) == "acknowledged"
    assert receiver.arrived == 3 and len(receiver.held) == 2
    first, second = receiver.held.values()
    assert [str(each["OBR.F25"]) for each in (first, second)] == ["F", "C"]
    texts = [value(first, each, 5) for each in segments(first, "OBX") if value(first, each, 2) == "TX"]
    assert "Erguß | links\n^ & \\ größer." in texts
    said = {name: segments(first, name)[0] for name in ("PID", "ORC", "OBR", "OBX")}
    assert value(first, said["PID"], 5) == "Müller" and value(first, said["ORC"], 2) == "PL1"
    assert value(first, said["OBR"], 18) == "A1" and value(first, said["OBX"], 5) == STUDY
    assert "Nachtrag." in [value(second, each, 5) for each in segments(second, "OBX")]
    assert value(first, segments(first, "OBR")[0], 32, sub=2) == "Müller"


def test_an_answer_to_another_message_acknowledges_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer(content: bytes) -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(content)

        ack = "MSH|^~\\&|||||20261130||ACK|1|P|2.5.1\rMSA|{}\r"
        for content, told in (
            (ack.format("AA|7"), "another message"), (ack.format("AR|42"), "not accepted"),
            (ack[:40], "another message"),
        ):  # fmt: skip
            thread = threading.Thread(target=answer, args=(START + content.encode() + END,))
            thread.start()
            with pytest.raises(ExchangeError, match=told):
                send_message(message(), "127.0.0.1", server.getsockname()[1])
            thread.join()
        thread = threading.Thread(target=answer, args=(b"",))
        thread.start()
        with pytest.raises(ExchangeError, match="without an acknowledgement"):
            send_message(message(), "127.0.0.1", server.getsockname()[1])
        thread.join()


@pytest.fixture
def worklist_peer(tmp_path: Path) -> Iterator[Peer]:
    """dcmtk's worklist server with two orders."""
    program = shutil.which("wlmscpfs")
    if program is None:
        pytest.skip("no wlmscpfs here (Debian: dcmtk)")
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    folder = tmp_path / "worklists" / "RIS"
    folder.mkdir(parents=True)
    (folder / "lockfile").touch()
    for number, priority in ((1, "STAT"), (2, "ROUTINE")):
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = "1.2.840.10008.5.1.4.31", f"1.2.3.{number}"
        item = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        item.SpecificCharacterSet = "ISO_IR 100"
        item.PatientName, item.PatientID, item.PatientBirthDate = f"Müller^Ana{number}", f"P{number}", "19800101"
        item.PatientSex, item.AccessionNumber, item.StudyInstanceUID = "F", f"A{number}", f"{ROOT}.{number}"
        item.RequestedProcedureID, item.RequestedProcedureDescription = f"RP{number}", "Thorax"
        item.RequestedProcedurePriority, item.ReferringPhysicianName = priority, "Röntgen^Wilhelm"
        item.ReasonForTheRequestedProcedure = "Sturz"
        step = FileDataset("", {})
        step.Modality, step.ScheduledStationAETitle = "DX", "XRAY"
        step.ScheduledProcedureStepStartDate, step.ScheduledProcedureStepStartTime = "20261130", "080000"
        step.ScheduledProcedureStepID, step.ScheduledProcedureStepDescription = "S", "Thorax"
        step.ScheduledPerformingPhysicianName = "X"
        item.ScheduledProcedureStepSequence = [step]
        (folder / f"{number}.wl").write_bytes(as_bytes(item))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen([program, "-dfp", str(folder.parent), str(port)], stderr=subprocess.DEVNULL)
    try:
        for _ in range(300):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.1)
        yield Peer("RIS", "127.0.0.1", port)
    finally:
        server.kill()
        server.wait()


def test_orders_of_dcmtks_worklist(clinic: Clinic, worklist_peer: Peer) -> None:
    found = query_worklist(worklist_peer, date="20261130", modality="DX")
    told = sorted((each.accession, each.urgency, each.reason) for each in found)
    assert told == [("A1", "stat", "Sturz"), ("A2", "routine", "Sturz")]
    assert {each.patient.name for each in found} == {"Müller^Ana1", "Müller^Ana2"}
    assert query_worklist(worklist_peer, modality="CT") == []
    clinic.drafted()
    assert keep_orders(clinic.house, found, clinic.now) == 1
    (entry,) = worklist(clinic.house, now=clinic.now).entries
    assert entry.urgency == "stat"
    with pytest.raises(ExchangeError, match="cannot be reached"):
        query_worklist(Peer("X", "127.0.0.1", 1), timeout_s=2)


def test_low_concern_never_delays_a_study_past_its_limit(clinic: Clinic) -> None:
    from clinic import recorded

    plain = recorded(priority="routine", findings=())
    clinic.drafter.draft = plain
    clinic.drafted(study=1)
    clinic.later(minutes=1)
    clinic.drafter.draft = recorded(priority="critical")
    clinic.drafted(study=2)

    def order(**later: float) -> list[str]:
        entries = worklist(clinic.house, now=clinic.now + timedelta(**later)).entries
        return [each.study.removeprefix(ROOT) for each in entries]

    assert order() == [".2", ".1"]
    assert order(minutes=clinic.house.settings.first_come_minutes) == [".1", ".2"]
    late = worklist(clinic.house, now=clinic.now + timedelta(minutes=241)).entries[0]
    assert "past the first-come limit of 4 h 0 min" in late.reason


def test_priors_are_the_same_patient_or_only_possible(clinic: Clinic) -> None:
    clinic.receive(study=1)
    clinic.receive(study=2, PatientID="P1", PatientName="Müller^Ana1")
    clinic.receive(study=3, PatientID="P1", PatientName="Müller^Ana1", PatientBirthDate="19810101")
    clinic.receive(study=4, PatientID="X9", PatientName="Müller^Ana1")
    clinic.receive(study=5, PatientID="P5", PatientName="Roe^Jane", PatientBirthDate="19500101")
    clinic.receive(study=6, PatientID="P1", PatientName="Müller^Ana1", IssuerOfPatientID="Elsewhere")
    found = {each.study.removeprefix(ROOT): (each.identity, each.reason) for each in priors(clinic.house, STUDY)}
    assert found[".2"] == ("same", "")
    assert found[".3"] == ("possible", "the birth dates differ, or one is not stated")
    assert found[".4"] == ("possible", "the same name and birth date under another Patient ID")
    assert found[".6"] == ("possible", "the issuers of the number differ, or one is not stated")
    assert ".5" not in found and next(iter(found)) == ".2"
    assert same_patient(Patient("1", birth_date=""), Patient("1", birth_date=""))[0] == "possible"
    assert same_patient(Patient("1", "", "A", "19800101"), Patient("1", "", "B", "19800101"))[0] == "possible"
    assert same_patient(Patient(), Patient())[0] is None


def test_what_says_no_urgency_lowers_none(clinic: Clinic) -> None:
    study = clinic.drafted()
    take_message(clinic.house, message(study=""))
    take_message(clinic.house, message(study="", control="SC", priority=""))  # a change of state, no more
    by_worklist = orders.Order(accession="A1", patient=Patient("P1", "", "Müller^Ana1"), study_uid=study)
    keep_orders(clinic.house, [by_worklist], clinic.now)  # the same order by another way, without its issuer
    assert worklist(clinic.house, now=clinic.now).entries[0].urgency == "stat"
    take_message(clinic.house, message(study="", priority="R"))
    assert worklist(clinic.house, now=clinic.now).entries[0].urgency == "routine"


def test_a_stat_order_that_comes_after_the_images_hastens_the_draft(clinic: Clinic) -> None:
    for study in (2, 1):
        clinic.receive(study=study)
        clinic.settle()
    take_message(clinic.house, message())
    assert clinic.draft() == "drafted"
    assert {each.study: each.state for each in worklist(clinic.house).entries} == {
        STUDY: "drafted", f"{ROOT}.2": "settled"
    }  # fmt: skip


def test_numbers_of_a_message_have_no_exponent() -> None:
    from aris.exchange.documents.report import Signer, checked, sign
    from aris.tasks import Measurement

    draft = checked(model={"name": "none", "software": "x"}, created=datetime.now(UTC),
                    measurements=(Measurement(name="area", value=1234567.5, unit="mm2"),))  # fmt: skip
    signed = sign(draft, Signer(name="Roe^Eva", organization="KH", signed_at=datetime.now(UTC)))
    assert b"|1234567.5|mm2|" in oru_message(signed)


def test_an_order_that_names_nobody_is_nobodys_by_its_accession_number(clinic: Clinic) -> None:
    clinic.drafted()
    lines = message(study="").split(b"\r")
    take_message(clinic.house, b"\r".join(line for line in lines if not line.startswith(b"PID")))
    assert worklist(clinic.house, now=clinic.now).entries[0].urgency == "routine"


def test_an_escaped_nul_is_no_text() -> None:
    (order,) = orders_of(parse(message().replace(b"Sturz", b"St\\X00\\urz")))
    assert order.reason.startswith("Sturz")
