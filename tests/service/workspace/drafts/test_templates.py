"""Templates in IHE's form, taken over as plain text; those that come with Aris; macros of the site."""

from __future__ import annotations

from typing import Any

import pytest

from aris.service.workspace.drafts.mrrt import TemplateError, read_mrrt
from aris.tasks import Sections
from workspace_house import WorkspaceHouse, code_of

MRRT = """<!DOCTYPE html><html><head><title>CT Brain</title><meta charset="UTF-8"/>
<meta name="dcterms.title" content="CT Brain &amp; Orbits"/>
<script type="text/xml"><template_attributes><coding_schemes/></template_attributes></script></head>
<body onload="alert(1)"><script>alert(2)</script><style>p{color:red}</style>
<section id="T1" class="level1" data-section-name="Procedure description"><header class="level1">Procedure</header>
<p><textarea>CT with   contrast.</textarea></p></section>
<section data-section-name="Findings"><header>Findings</header>
<p>Ventricles: <select><option>normal</option><option selected="selected">wide &lt;b&gt;</option></select></p>
<p>Midline: <input type="text" value="central"/> shift <input type="number"/> mm</p>
<p><input type="checkbox" value="Fracture." checked="checked"/><input type="checkbox" value="No."/></p>
<section data-section-name="Orbits"><header>Orbits</header><p>Normal.<img src=x onerror="alert(3)"></p></section>
</section>
<section data-section-name="Impression"><p>Side: <select><option>left</option><option>right</option></select></p>
</section>
<iframe srcdoc="<script>alert(4)</script>"></iframe></body></html>"""


def test_a_template_of_ihe_becomes_words_alone() -> None:
    made = read_mrrt(MRRT.encode())
    assert (made.name, made.modality) == ("CT Brain & Orbits", "CT")
    assert made.sections["technique"] == "CT with contrast."
    assert made.sections["impression"] == "Side: [left / right]"
    lines = [line for line in made.sections["findings"].splitlines() if line]
    assert lines == ["Ventricles: wide <b>", "Midline: central shift [ ] mm", "Fracture.", "Orbits:", "Normal."]
    assert "alert" not in str(made) and "color" not in str(made)


@pytest.mark.parametrize("field", [
    "<select><option>left<option>right", "<textarea>left / right", "<p>Side: <button>press",
])  # fmt: skip
def test_a_field_that_is_never_closed_swallows_nothing_behind_it(field: str) -> None:
    made = read_mrrt(
        f"<html><body><section data-section-name='Findings'><p>Before.</p>{field}</section>"
        "<section data-section-name='Impression'><p>Behind.</p></section></body></html>".encode()
    )
    assert made.sections["impression"] == "Behind." and made.sections["findings"].startswith("Before.")
    if "button" not in field:
        assert "left / right" in made.sections["findings"]


@pytest.mark.parametrize("data", [
    b"", b"\xff\xfe", b"plain words", b"<html><body><section></section></body></html>",
    b"<script>" * 2000 + b"<section data-section-name='Findings'>x</section>", b"<![CDATA[", b"<section>" * 5000,
])  # fmt: skip
def test_what_is_no_template_is_refused_in_a_line(data: bytes) -> None:
    with pytest.raises(TemplateError) as raised:
        read_mrrt(data)
    assert len(str(raised.value).splitlines()) == 1


def test_ours_have_the_sections_of_a_report_and_normal_ones_for_each_common_examination(room: WorkspaceHouse) -> None:
    shipped: list[dict[str, Any]] = room.client("vic").get("/api/templates").json()
    assert len({each["id"] for each in shipped}) == len(shipped) and not any(each["own"] for each in shipped)
    assert all(set(each["sections"]) <= set(Sections.model_fields) for each in shipped)
    normal = {each["modality"] for each in shipped if each["normal"] and "impression" in each["sections"]}
    assert normal == {"DX", "CR", "CT", "MR"}


def test_an_admin_adds_and_removes_the_sites_own(room: WorkspaceHouse) -> None:
    admin, reader = room.client("adm"), room.client("ana")
    html = {"Content-Type": "text/html"}
    assert reader.post("/api/templates", content=MRRT, headers=html).status_code == 403
    made = admin.post("/api/templates?normal=true", content=MRRT.encode(), headers=html)
    assert made.status_code == 201 and made.json()["own"] and made.json()["normal"]
    first = reader.get("/api/templates").json()[0]
    assert first == made.json()
    assert code_of(admin.post("/api/templates", content=b"words", headers=html)) == "not_a_template"
    assert admin.delete(f"/api/templates/{first['id']}").status_code == 204
    assert admin.delete(f"/api/templates/{first['id']}").status_code == 404
    assert admin.delete("/api/templates/chest-normal").status_code == 404
    assert [each["action"] for each in room.trail() if "template" in each["action"]] == [
        "remove template", "add template"
    ]  # fmt: skip


def test_macros_of_the_site_stand_before_ours(room: WorkspaceHouse) -> None:
    admin, reader = room.client("adm"), room.client("ana")
    assert reader.post("/api/macros", json={"name": "x", "text": "y"}).status_code == 403
    script = "<script>alert(1)</script>"
    assert admin.post("/api/macros", json={"name": "clear", "text": script}).status_code == 201
    found = {each["name"]: each["text"] for each in reader.get("/api/macros").json()}
    assert found["clear"] == script and "noeff" in found
    assert admin.delete("/api/macros/clear").status_code == 204
    assert {each["name"]: each["text"] for each in reader.get("/api/macros").json()}["clear"] != script
    assert admin.delete("/api/macros/clear").status_code == 404
