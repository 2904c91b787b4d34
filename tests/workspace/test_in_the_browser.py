"""The workspace as a person uses it: a real `aris serve` with the real nano, in Debian's Chromium.

With ARIS_PICTURES=FOLDER each step leaves a picture there, as those of docs/images were made.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from real_process import PLANTED, Screen, Served, chromium, require_browser, serving

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
ROOT = Path(__file__).parents[2]
PASSWORD = "a long enough password"
FILM = ROOT / "samples" / "child-pneumonia.jpg"
OTHER = ROOT / "samples" / "child-normal.jpg"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    require_browser()
    with serving(tmp_path_factory.mktemp("workspace")) as made:
        yield made


@pytest.fixture(scope="module")
def browser(served: Served) -> Iterator[object]:
    with chromium() as made:
        yield made


@pytest.fixture
def screen(served: Served, browser: object) -> Iterator[Screen]:
    made = Screen(browser, served.url)  # type: ignore[arg-type]
    yield made
    made.picture("end")
    made.context.close()


def sign_in(screen: Screen) -> None:
    page = screen.page
    page.goto("/signin")
    page.get_by_label("User name").fill("ana")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/worklist")


def upload(screen: Screen, film: Path, name: str, identifier: str) -> None:
    page = screen.page
    page.set_input_files("input[type=file]", str(film))
    about = page.get_by_role("dialog")
    about.get_by_label("Name").fill(name)
    about.get_by_label("Patient ID").fill(identifier)
    about.get_by_label("Age in years").fill("4")
    about.get_by_role("button", name="Upload").click()
    page.get_by_text("1 image added").wait_for()
    page.get_by_role("button", name="Close").last.click()


def test_from_a_fresh_store_to_the_signed_documents(served: Served, screen: Screen, tmp_path: Path) -> None:
    """First run, upload, streamed draft, evidence, edit, signature; PDF, SR and FHIR are checked by others' readers."""
    page = screen.page
    page.goto(f"/setup#{served.code}")
    page.get_by_label("Family name").fill("Müller")
    page.get_by_label("Given name").fill("Ana")
    page.get_by_label("Organization").fill("St. Élan")
    page.get_by_label("User name").fill("ana")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("The same again").fill(PASSWORD)
    assert served.code not in page.url  # the code has left the address
    page.get_by_role("button", name="Set up and sign in").click()
    page.wait_for_url("**/worklist")
    served.wait_for_model()
    screen.settled()

    upload(screen, FILM, "Sample^Ada", "SAMPLE-A")
    row = page.get_by_role("row").filter(has_text="Sample, Ada")
    row.click()
    screen.picture("worklist")
    page.keyboard.press("Enter")
    page.wait_for_url("**/study/**")
    editor = page.locator("[data-context=editor] .cm-content")
    page.get_by_text("The draft is being written").or_(page.locator("[data-finding]")).first.wait_for()
    page.locator("[data-finding=pneumonia]").wait_for()
    page.get_by_text("The draft is being written").wait_for(state="hidden")
    drafted = editor.inner_text()
    assert "neumonia" in drafted or "opacity" in drafted

    page.locator("[data-finding=pneumonia]").click()
    page.locator("[aria-label^=\"Draft's evidence\"], [data-evidence]").first.wait_for(state="attached")
    screen.picture("study")

    editor.click()
    page.keyboard.press("Control+End")
    page.keyboard.type(" Follow-up in six weeks: größer?")
    page.keyboard.press("Control+Enter")
    signing = page.get_by_role("dialog")
    signing.wait_for()
    assert "größer?" in signing.inner_text()
    for box in signing.get_by_role("group").get_by_role("checkbox").all():
        box.check(force=True)
    screen.picture("signing")
    signing.get_by_label("Password of").fill("not the right password")
    signing.get_by_role("button", name="Sign", exact=True).click()
    signing.get_by_text("sign: ").first.wait_for()  # refused, the text stays
    signing.get_by_label("Password of").fill(PASSWORD)
    signing.get_by_role("button", name="Sign", exact=True).click()
    signing.wait_for(state="detached")

    page.keyboard.press("Alt+X")
    page.wait_for_url("**/report")
    page.get_by_role("heading", name="Download").wait_for()
    screen.picture("report")
    documents = {}
    for label, ending in (("PDF", "pdf"), ("DICOM SR", "dcm"), ("FHIR", "json")):
        with page.expect_download() as waiting:
            page.get_by_label("Downloads and deliveries").get_by_role("button", name=label, exact=True).click()
        documents[ending] = Path(waiting.value.path()).read_bytes()
    assert documents["pdf"].startswith(b"%PDF-")
    report = pydicom.dcmread(io.BytesIO(documents["dcm"]))
    texts = " ".join(str(each.value) for each in report.iterall() if each.keyword == "TextValue")
    assert report.PatientID == "SAMPLE-A" and report.VerificationFlag == "VERIFIED" and "größer?" in texts
    from fhir.resources.R4B.bundle import Bundle

    bundle = Bundle.model_validate(json.loads(documents["json"]))
    kinds = {each.resource.get_resource_type() for each in bundle.entry or ()}
    assert "DiagnosticReport" in kinds
    screen.settled()


def test_by_keyboard_alone(served: Served, screen: Screen) -> None:
    """Worklist, open, sign: no mouse."""
    sign_in(screen)
    page = screen.page
    upload(screen, OTHER, "Sample^Ben", "SAMPLE-B")
    served.wait_for_model()
    page.keyboard.press("Escape")
    page.keyboard.press("n")  # the next study
    page.wait_for_url("**/study/**")
    page.locator("[data-finding=pneumonia]").wait_for()
    page.get_by_text("The draft is being written").wait_for(state="hidden")
    page.keyboard.press("Control+Enter")
    signing = page.get_by_role("dialog")
    signing.wait_for()
    boxes = signing.get_by_role("group").get_by_role("checkbox").count()
    focused = "document.activeElement.type"
    for _ in range(boxes):  # the password has the focus; what must be confirmed stands before it
        page.keyboard.press("Shift+Tab")
        for _ in range(10):
            if page.evaluate(focused) == "checkbox" and not page.evaluate("document.activeElement.checked"):
                break
            page.keyboard.press("Shift+Tab")
        page.keyboard.press("Space")
    for _ in range(20):
        if page.evaluate(focused) == "password":
            break
        page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    signing.wait_for(state="detached")
    page.get_by_text("Signed").first.wait_for()
    screen.settled()


PAGES = ("/worklist?state=final", "/models", "/audit", "/agreement", "/settings", "/settings/keys", "/settings/users",
         "/settings/tokens", "/settings/site")  # fmt: skip


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_every_page_is_accessible(served: Served, browser: object, theme: str) -> None:
    """axe finds nothing serious or critical, and no page breaks its own policy."""
    screen = Screen(browser, served.url, theme)  # type: ignore[arg-type]
    page = screen.page
    wrong: dict[str, object] = {}

    def judge(name: str) -> None:
        page.wait_for_load_state("networkidle") if name == "/signin" else page.wait_for_timeout(400)
        if found := screen.accessible():
            wrong[name] = found
        screen.settled()

    try:
        page.goto("/signin")
        judge("/signin")
        sign_in(screen)
        if page.evaluate("document.documentElement.dataset.theme") != theme:
            page.get_by_role("button", name=f"Change to the {theme} theme").click()
        for path in PAGES:
            page.goto(path)
            page.locator("main, [role=main]").first.wait_for()
            judge(path)
        page.goto("/worklist?state=final")
        page.get_by_role("row").filter(has_text="Sample, Ada").dblclick()
        page.wait_for_url("**/study/**")
        page.locator("[data-finding]").first.wait_for()
        judge("study")
        page.keyboard.press("Alt+X")
        page.wait_for_url("**/report")
        page.get_by_role("heading", name="Download").wait_for()
        judge("report")
    finally:
        screen.context.close()
    assert wrong == {}


def test_stored_text_never_becomes_html(served: Served, screen: Screen) -> None:
    """Script in names, descriptions, reports, templates, macros and tokens is shown as it was written."""
    sign_in(screen)
    page = screen.page
    upload(screen, FILM, f"Eve {PLANTED[:40]}"[:60], "<script>planted=1</script>")
    sent = page.evaluate(
        """async planted => {
            const session = await (await fetch('/api/session')).json();
            const headers = {'X-CSRF-Token': session.csrf, 'Content-Type': 'application/json'};
            const send = async (method, path, body) => (await fetch(path, {method, headers,
                body: JSON.stringify(body)})).status;
            const list = await (await fetch('/api/worklist')).json();
            const study = '/api/studies/' + list.entries[0].study;
            const opened = await (await fetch(study + '/open', {method: 'POST', headers})).json();
            return [
                await send('PUT', study + '/text', {base: opened.text ? opened.text.number : 0,
                    sections: {findings: planted, impression: planted, examination: planted, indication: planted,
                               technique: planted, comparison: planted}}),
                await send('POST', study + '/critical', {finding: planted}),
                await send('POST', '/api/users', {login: 'eve', password: 'a long enough password', name: planted,
                    role: 'reader', organization: planted.slice(0, 60), identifier: planted.slice(0, 60)}),
                await send('POST', '/api/tokens', {name: planted.slice(0, 60), scopes: ['read'], days: 1}),
                await send('PUT', '/api/preferences', {macros: [{name: planted, text: planted}],
                    filters: [{name: planted, search: '?text=' + planted}]}),
            ];
        }""",
        PLANTED,
    )
    assert all(each < 300 for each in sent), sent
    for path in ("/worklist", "/settings/users", "/settings/tokens", "/settings/macros", "/audit"):
        page.goto(path)
        page.wait_for_timeout(500)
        screen.settled()
    page.goto("/worklist")
    row = page.get_by_role("row").filter(has_text="Eve")
    row.click()
    page.wait_for_timeout(300)
    screen.settled()
    page.keyboard.press("Enter")
    page.wait_for_url("**/study/**")
    page.locator("[data-context=editor] .cm-content").filter(has_text="<script>window.planted=1</script>").wait_for()
    screen.settled()
    page.keyboard.press("Alt+I")
    page.wait_for_timeout(300)
    page.keyboard.press("Escape")
    page.keyboard.press("Alt+X")
    page.wait_for_url("**/report")
    for label in ("Text", "FHIR", "DICOM SR", "PDF"):
        page.get_by_role("tab", name=label).click()
        page.wait_for_timeout(400)
    screen.settled()
