from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from archive_node import ArchiveNode
from clinic import Clinic
from sqlalchemy import select

from aris.errors import ExchangeError, StoreError
from aris.exchange.archives import dicomweb, dimse
from aris.exchange.node.peers import Peer, send
from aris.exchange.node.server import Node, NodeSettings
from aris.flow.arrival import collect
from aris.flow.reading import archives
from aris.flow.reading.priors import priors
from aris.flow.reading.worklist import worklist
from aris.imaging.dicom.patients import Patient
from aris.store.reading import remote
from aris.store.reading.tables import JobRow
from dicom_objects import ROOT, as_bytes, image

OLD, OTHER, NAMESAKE = (f"{ROOT}.{each}" for each in (71, 72, 73))


def held() -> list[Any]:
    """An earlier study of the patient, one of somebody else, and one of his name under another number."""
    ana = {"PatientName": "Müller^Ana1", "PatientBirthDate": "19800101", "IssuerOfPatientID": ""}
    return [
        image(1, study=71, PatientID="P1", StudyDate="20250301", StudyDescription="Thorax", **ana),
        image(2, study=71, PatientID="P1", StudyDate="20250301", StudyDescription="Thorax", **ana),
        image(1, study=72, PatientID="P2", StudyDate="20250401"),
        image(1, study=73, PatientID="X9", StudyDate="20240401", **ana),
    ]


def at(where: str, **more: Any) -> dict[str, Any]:
    return {"archives": [{"name": "pacs", "kind": "dicom", "at": where, **more}]}


def test_a_patients_earlier_studies_are_found_compared_and_fetched_on_demand(
    tmp_path: Path, cheap_passwords: None, database_url: str | None
) -> None:
    archive = ArchiveNode(held())
    with archive.running() as where:
        clinic = Clinic(tmp_path, database_url, **at(where))
        study = clinic.receive(1)
        clinic.settle()
        assert archives.look_next(clinic.house, "w", clinic.now) == "priors found"
        found = {each.study: each for each in priors(clinic.house, study)}
        assert set(found) == {OLD, NAMESAKE}
        assert (found[OLD].identity, found[OLD].archive, found[OLD].modalities) == ("same", "pacs", ("DX", "SR"))
        assert found[NAMESAKE].identity == "possible" and "another Patient ID" in found[NAMESAKE].reason
        # Nothing is fetched unasked, least of all a possible one.
        assert archives.fetch_next(clinic.house, "w", clinic.now) is None
        archives.ask_for(clinic.house, "ana", study, OLD)
        assert next(each for each in priors(clinic.house, study) if each.study == OLD).fetching == "asked"
        clinic.later(seconds=5)
        assert archives.fetch_next(clinic.house, "w", clinic.now) == "prior fetched"
    here = next(each for each in priors(clinic.house, study) if each.study == OLD)
    assert (here.identity, here.archive, here.fetching) == ("same", "", "")
    assert {each.uid for each in clinic.store.instances(study=OLD)} == {f"{ROOT}.71.1.1", f"{ROOT}.71.1.2"}
    # It was read long ago: it stands in no list, and nobody drafts it.
    clinic.settle()
    assert [each.study for each in worklist(clinic.house).entries] == [study]
    assert clinic.draft() == "drafted" and clinic.draft() is None


@pytest.mark.parametrize("how", ["another copy", "the same again", "while it was fetched"])
def test_a_fetched_study_that_comes_by_another_way_too_is_to_be_read(
    tmp_path: Path, cheap_passwords: None, how: str
) -> None:
    archive = ArchiveNode(held())
    with archive.running() as where:
        clinic = Clinic(tmp_path, **at(where))
        study = clinic.receive(1)
        clinic.settle()
        archives.look_next(clinic.house, "w", clinic.now)
        archives.ask_for(clinic.house, "ana", study, OLD)
        if how == "while it was fetched":
            clinic.store.add(as_bytes(held()[0]), source="CT1")
            collect(clinic.house)
        clinic.later(seconds=5)
        assert archives.fetch_next(clinic.house, "w", clinic.now) == "prior fetched"
    if how == "another copy":
        clinic.store.add(as_bytes(image(3, study=71, PatientID="P1", PatientName="Müller^Ana1")), source="CT1")
    elif how == "the same again":
        collect(clinic.house)
        first = clinic.store.read(f"{ROOT}.71.1.1")
        assert clinic.store.add(first, source="CT1").outcome == "known"
    clinic.settle()
    assert {each.study for each in worklist(clinic.house).entries} == {study, OLD}


def test_a_study_that_was_released_meanwhile_is_fetched_no_more(tmp_path: Path, cheap_passwords: None) -> None:
    archive = ArchiveNode(held())
    with archive.running() as where:
        clinic = Clinic(tmp_path, **at(where))
        study = clinic.receive(1)
        clinic.settle()
        archives.look_next(clinic.house, "w", clinic.now)
        archives.ask_for(clinic.house, "ana", study, OLD)
    with clinic.store.sessions.writing() as session:
        row = remote.fetched(session, OLD)
        assert row is not None
        session.delete(row)  # as an arrival that saw it released does
    clinic.later(seconds=5)
    assert archives.fetch_next(clinic.house, "w", clinic.now) == "known"
    with clinic.store.sessions.reading() as session:
        job = session.scalar(select(JobRow).where(JobRow.kind == archives.FETCH))
        assert job is not None and (job.state, job.error) == ("done", "")


def test_a_study_that_a_device_sends_is_to_be_read_whatever_becomes_of_its_fetching(
    tmp_path: Path, cheap_passwords: None
) -> None:
    archive = ArchiveNode(held())
    with archive.running() as where:
        clinic = Clinic(tmp_path, **at(where))
        study = clinic.receive(1)
        clinic.settle()
        archives.look_next(clinic.house, "w", clinic.now)
        archives.ask_for(clinic.house, "ana", study, OLD)
    clinic.store.add(as_bytes(held()[0]), source="CT1")
    clinic.settle()
    # It waits for no archive that does not answer.
    assert {each.study for each in worklist(clinic.house).entries} == {study, OLD}
    for _ in range(5):
        clinic.later(hours=2)
        assert archives.fetch_next(clinic.house, "w", clinic.now) == "failed"
    clinic.settle()
    assert {each.study for each in worklist(clinic.house).entries} == {study, OLD}


def test_the_latest_sure_ones_are_fetched_unasked_where_the_site_says_so(tmp_path: Path, cheap_passwords: None) -> None:
    ana = {"PatientName": "Müller^Ana1", "PatientID": "P1", "PatientBirthDate": "19800101"}
    later = [image(1, study=80 + n, StudyDate=f"2025110{n}", **ana) for n in (1, 2, 3)]
    # Of the same day as ours or after it: it may have to be read itself.
    today = image(1, study=90, StudyDate="20260101", **ana)
    with ArchiveNode([*held(), *later, today]).running() as where:
        clinic = Clinic(tmp_path, **at(where), fetch_priors=2)
        study = clinic.receive(1)
        clinic.settle()
        assert archives.look_next(clinic.house, "w", clinic.now) == "priors found"
        while archives.fetch_next(clinic.house, "w", clinic.now):
            pass
    here = {each.study for each in priors(clinic.house, study) if not each.archive}
    assert here == {f"{ROOT}.83", f"{ROOT}.82"}


def test_c_move_brings_it_to_our_node(tmp_path: Path, cheap_passwords: None) -> None:
    archive = ArchiveNode(held())
    with archive.running() as where:
        clinic = Clinic(tmp_path, **at(where, retrieve="move"))
        node = Node(clinic.store, NodeSettings(port=0))
        node.start()
        try:
            archive.nodes["ARIS"] = ("127.0.0.1", node.port)
            study = clinic.receive(1)
            clinic.settle()
            archives.look_next(clinic.house, "w", clinic.now)
            archives.ask_for(clinic.house, "ana", study, OLD)
            clinic.later(seconds=5)
            assert archives.fetch_next(clinic.house, "w", clinic.now) == "prior fetched"
        finally:
            node.stop()
        clinic.settle()
        assert [each.study for each in worklist(clinic.house).entries] == [study]
        with pytest.raises(ExchangeError, match="does not know the node"):
            dimse.move_study(Peer.parse(where), OLD, "NOBODY")


def test_what_cannot_be_fetched_is_said_and_can_be_asked_for_again(tmp_path: Path, cheap_passwords: None) -> None:
    archive = ArchiveNode(held())
    with archive.running() as where:
        clinic = Clinic(tmp_path, **at(where))
        study = clinic.receive(1)
        clinic.settle()
        archives.look_next(clinic.house, "w", clinic.now)
        with pytest.raises(StoreError, match="no archive has such a study of this patient"):
            archives.ask_for(clinic.house, "ana", study, OTHER)
        archives.ask_for(clinic.house, "ana", study, OLD)
    clinic.later(minutes=1)
    for _ in range(5):
        assert archives.fetch_next(clinic.house, "w", clinic.now) == "failed"
        clinic.later(hours=2)
    assert archives.fetch_next(clinic.house, "w", clinic.now) is None
    told = next(each for each in priors(clinic.house, study) if each.study == OLD)
    assert told.fetching == "failed" and "cannot be reached" in told.error
    archives.ask_for(clinic.house, "ana", study, OLD)
    assert next(each for each in priors(clinic.house, study) if each.study == OLD).fetching == "asked"


def test_answers_of_an_archive_are_not_trusted(tmp_path: Path, cheap_passwords: None) -> None:
    """Whatever it answers to a query for one patient, another patient's study is no prior."""
    archive = ArchiveNode(held())
    archive._find = lambda event: iter([(0xFF00, _answer(each)) for each in held()])  # type: ignore[method-assign]
    with archive.running() as where:
        clinic = Clinic(tmp_path, **at(where))
        study = clinic.receive(1)
        clinic.settle()
        archives.look_next(clinic.house, "w", clinic.now)
        assert OTHER not in {each.study for each in priors(clinic.house, study)}
        # A study that was asked for comes with no object of another one.
        archive._chosen = lambda event: [held()[2]]  # type: ignore[method-assign]
        with pytest.raises(ExchangeError, match="did not give the whole study"):
            dimse.get_study(Peer.parse(where), OLD, lambda *_: pytest.fail("kept"))


def _answer(each: Any) -> Any:
    from pydicom import Dataset

    made = Dataset()
    made.SpecificCharacterSet = "ISO_IR 192"
    for name in ("StudyInstanceUID", "StudyDate", "PatientName", "PatientID", "PatientBirthDate", "PatientSex"):
        setattr(made, name, getattr(each, name))
    return made


def test_a_number_that_is_a_pattern_is_not_asked_for() -> None:
    archive = ArchiveNode(held())
    with archive.running() as where:
        assert dimse.find_studies(Peer.parse(where), Patient(identifier="*")) == []
        listed = Patient(identifier="P1\\P2", name="M*", birth_date="19800101")
        assert dimse.find_studies(Peer.parse(where), listed) == []
    assert archive.asked == []


def free_port() -> int:
    with socket.socket() as held_one:
        held_one.bind(("127.0.0.1", 0))
        return int(held_one.getsockname()[1])


@contextmanager
def orthanc(folder: Path) -> Iterator[tuple[str, str]]:
    """Debian's Orthanc, as a DICOM node and a DICOMweb service."""
    import json
    import urllib.request

    dicom, http = free_port(), free_port()
    plugin = next(Path("/usr/share/orthanc/plugins").glob("libOrthancDicomWeb*"), None)
    settings = {
        "Name": "archive", "StorageDirectory": str(folder / "db"), "IndexDirectory": str(folder / "db"),
        "DicomPort": dicom, "DicomAet": "ORTHANC", "HttpPort": http, "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False, "DicomAlwaysAllowGet": True, "DicomAlwaysAllowFind": True,
        "DicomCheckCalledAet": False, "Plugins": [] if plugin is None else [str(plugin)],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }  # fmt: skip
    folder.mkdir(exist_ok=True)
    (folder / "settings.json").write_text(json.dumps(settings))
    process = subprocess.Popen(
        ["Orthanc", str(folder / "settings.json")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder
    )
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{http}/system", timeout=5).read()
                break
            except OSError:
                if process.poll() is not None:
                    raise
                time.sleep(0.1)
        yield f"ORTHANC@127.0.0.1:{dicom}", "" if plugin is None else f"http://127.0.0.1:{http}/dicom-web"
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("Orthanc") is None, reason="no Orthanc here (Debian: orthanc, orthanc-dicomweb)")
def test_orthanc_gives_earlier_studies_by_both_ways(tmp_path: Path, cheap_passwords: None) -> None:
    with orthanc(tmp_path / "orthanc") as (node, web):
        files = []
        for number, each in enumerate(held()):
            files.append(tmp_path / f"{number}.dcm")
            files[-1].write_bytes(as_bytes(each))
        assert not [each.error for each in send(files, Peer.parse(node)) if each.error]
        ways = [("dicom", {"kind": "dicom", "at": node})]
        if web:
            ways.append(("web", {"kind": "dicomweb", "url": web}))
        for name, way in ways:
            clinic = Clinic(tmp_path / name, archives=[{"name": "pacs", **way}])
            study = clinic.receive(1)
            clinic.settle()
            assert archives.look_next(clinic.house, "w", clinic.now) == "priors found"
            found = {each.study: each.identity for each in priors(clinic.house, study)}
            assert found == {OLD: "same", NAMESAKE: "possible"}
            archives.ask_for(clinic.house, "ana", study, OLD)
            clinic.later(seconds=5)
            assert archives.fetch_next(clinic.house, "w", clinic.now) == "prior fetched"
            assert len(clinic.store.instances(study=OLD)) == 2
        if web:
            with pytest.raises(ExchangeError, match=r"status 404|no object"):
                dicomweb.retrieve_study(web, f"{ROOT}.99", lambda *_: None)
