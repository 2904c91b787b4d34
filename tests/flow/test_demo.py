"""Sample studies: there once however often they are asked for, known as samples, and taken out alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
from clinic import STUDY, Clinic

from aris.flow import demo
from aris.flow.arrival import collect
from aris.flow.reading.worklist import worklist
from aris.store.reading.listing import ListQuery
from dicom_objects import as_bytes, image


@pytest.fixture
def clinic_with_samples(any_clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> Clinic:
    small = {name: replace(each, slices=2) for name, each in demo._GEOMETRY.items()}
    monkeypatch.setattr(demo, "_GEOMETRY", small)
    any_clinic.receive()
    done = demo.add_samples(any_clinic.house, "ana")
    assert len(done.studies) == len(demo.SAMPLES) and done.added == 8 and done.known == 0
    return any_clinic


def listed(clinic: Clinic) -> dict[str, str]:
    query = ListQuery(states=(), limit=100)
    return {each.study: each.patient_name for each in worklist(clinic.house, query).entries}


def test_samples_are_there_once_and_leave_alone(clinic_with_samples: Clinic) -> None:
    clinic = clinic_with_samples
    again = demo.add_samples(clinic.house, "ana")
    assert again.added == 0 and again.known == 8
    collect(clinic.house)
    found = listed(clinic)
    assert len(found) == len(demo.SAMPLES) + 1
    assert all(name.startswith("Sample^") for study, name in found.items() if study != STUDY)
    # They wait for their drafts already; one of them is signed before it goes.
    signed = demo.SAMPLES[0].study
    clinic.later(minutes=5)
    assert [clinic.draft() for _ in demo.SAMPLES] == ["drafted"] * len(demo.SAMPLES)
    clinic.sign(signed)
    files = clinic.store.counts()["instances"]
    assert sorted(demo.remove_samples(clinic.house, "ana")) == sorted(each.study for each in demo.SAMPLES)
    assert listed(clinic) == {STUDY: found[STUDY]}
    assert clinic.store.counts()["instances"] == 1 < files
    assert len(list((clinic.store.folder / "objects").rglob("*.dcm"))) == 1
    assert demo.remove_samples(clinic.house, "ana") == []
    with clinic.store.sessions.reading() as session:
        assert clinic.house.trail.verify(session) == []
    # What comes next is seen, though its rows may have the numbers of those that are gone.
    other = clinic.store.add(as_bytes(image(7, study=2)), source="CT1")
    assert other.outcome == "stored" and collect(clinic.house) == 1
    assert demo.add_samples(clinic.house, "ana").added == 8
    assert signed in listed(clinic)
    assert clinic.room.look("ana", signed).reading.state == "final"  # what was signed is signed


def test_the_prior_is_surely_the_same_patient_s(clinic_with_samples: Clinic) -> None:
    from aris.flow.reading.priors import priors

    clinic = clinic_with_samples
    now, before = demo.SAMPLES[0], demo.SAMPLES[1]
    found = priors(clinic.house, now.study)
    assert [(each.study, each.identity) for each in found] == [(before.study, "same")]
