"""CDS Hooks: what the specification asks of a service, checked by rules written from its text."""

from __future__ import annotations

import json
import re
import time
import uuid
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi.testclient import TestClient

from aris.errors import ArisError
from aris.service.cds_hooks import create_cds_app
from aris.service.cds_hooks.gathering import Gathering
from aris.service.settings import CdsHooksSettings
from fhir_made import allergy, bundle, drug, observation, patient

KEYS = {"conditions", "observations", "medications", "allergies"}
MORE = {"procedures", "orders", "reports"}
HOOKS = {"patient-view": "aris-patient-view", "order-select": "aris-order-select", "order-sign": "aris-order-sign"}


def recent(name: str, value: float, hours: float = 1, **more: Any) -> dict:
    from datetime import UTC, datetime, timedelta

    return observation(name, value, datetime.now(UTC) - timedelta(hours=hours), **more)


def client_of(settings: CdsHooksSettings | None = None, api_key: str | None = None, gathering: Gathering | None = None):
    return TestClient(create_cds_app(settings, api_key, gathering), base_url="http://127.0.0.1:8000")


@pytest.fixture(scope="module")
def client():
    with client_of() as made:
        yield made


def call(hook: str, *resources: dict, drafts: list[dict] | None = None, **more: Any) -> dict[str, Any]:
    """A call with all its prefetch; `resources` are put where they belong."""
    prefetch: dict[str, Any] = dict.fromkeys(KEYS | (MORE if hook == "patient-view" else set()))
    prefetch["patient"] = patient()
    places = {"Observation": "observations", "MedicationRequest": "medications", "AllergyIntolerance": "allergies",
              "Condition": "conditions", "DiagnosticReport": "reports"}  # fmt: skip
    for key in set(places.values()):
        found = [each for each in resources if places[each["resourceType"]] == key]
        if found:
            prefetch[key] = bundle(*found) | {"type": "searchset"}
    context: dict[str, Any] = {"userId": "Practitioner/1", "patientId": "p1"}
    if hook != "patient-view":
        context["draftOrders"] = bundle(*(drafts or []))
    return {"hook": hook, "hookInstance": str(uuid.uuid4()), "context": context, "prefetch": prefetch} | more


def post(client: TestClient, body: dict[str, Any], **keywords: Any) -> Any:
    return client.post(f"/cds-services/{HOOKS[body['hook']]}", json=body, **keywords)


def check_cards(body: Any) -> list[dict[str, Any]]:
    """The rules of "CDS Service Response" of the specification, 2.0."""

    def no_nulls(value: Any) -> None:
        assert value is not None
        for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            no_nulls(each)

    no_nulls(body)
    assert isinstance(body["cards"], list) and set(body) <= {"cards", "systemActions"}
    for card in body["cards"]:
        assert set(card) <= {"uuid", "summary", "detail", "indicator", "source", "suggestions", "selectionBehavior",
                             "overrideReasons", "links"}  # fmt: skip
        uuid.UUID(card["uuid"])
        assert isinstance(card["summary"], str) and 0 < len(card["summary"]) < 140
        assert card["indicator"] in ("info", "warning", "critical")
        assert card["source"]["label"] and set(card["source"]) <= {"label", "url", "icon", "topic"}
        assert "suggestions" not in card or card["selectionBehavior"] in ("at-most-one", "any")
        for suggestion in card.get("suggestions", []):
            assert suggestion["label"] and suggestion["actions"]
            for action in suggestion["actions"]:
                assert action["type"] in ("create", "update", "delete") and action["description"]
                assert re.fullmatch(r"[A-Za-z]+/[A-Za-z0-9\-.]{1,64}", action["resourceId"])
        for reason in card.get("overrideReasons", []):
            assert reason["code"] and reason["display"]
        for link in card.get("links", []):
            assert link["label"] and link["url"] and link["type"] in ("absolute", "smart")
            assert link["type"] == "smart" or "appContext" not in link
    return body["cards"]


def test_discovery_offers_each_service_as_the_specification_asks(client: TestClient) -> None:
    services = client.get("/cds-services").json()["services"]
    assert {each["hook"]: each["id"] for each in services} == HOOKS
    for each in services:
        assert each["description"] and each["title"] and re.fullmatch(r"[a-z-]+", each["id"])
        for template in each["prefetch"].values():
            kind, found, rest = template.partition("{{context.patientId}}")
            assert found and re.fullmatch(r"Patient/|[A-Za-z]+\?patient=", kind)
            assert re.fullmatch(r"[A-Za-z0-9&=_-]*", rest)
            assert set(re.findall(r"[?&]([a-z_]+)=", template)) <= {"patient", "status", "_sort", "_count"}


def test_patient_view_shows_an_alarm_with_its_rule_and_its_resources(client: TestClient) -> None:
    answer = post(client, call("patient-view", recent("potassium", 6.9, id="k1")))
    assert answer.status_code == 200
    (card,) = check_cards(answer.json())
    assert card["source"]["label"] == "Aris rule potassium 1"
    assert card["indicator"] == "critical" and "6.9" in card["summary"]
    assert "Observation/k1" in card["detail"] and "UK Kidney Association" in card["detail"]


def test_nothing_found_is_an_empty_list(client: TestClient) -> None:
    answer = post(client, call("order-sign", drafts=[drug("Paracetamol 500 mg tablet")]))
    assert (answer.status_code, answer.json()) == (200, {"cards": []})


@pytest.mark.parametrize("hook", ["order-select", "order-sign"])
def test_an_order_against_kidney_function_and_an_allergy(client: TestClient, hook: str) -> None:
    drafts = [
        drug("Ibuprofen 400 MG Oral Tablet", id="ibu", status="draft"),
        drug("Amoxicillin 500 MG Oral Capsule", id="amox", status="draft"),
    ]
    body = call(hook, recent("egfr", 22, 30), recent("potassium", 6.9), allergy("Penicillin V"), drafts=drafts)
    cards = check_cards(post(client, body).json())
    labels = {each["source"]["label"]: each for each in cards}
    assert set(labels) == {"Aris rule nsaid-egfr 1", "Aris rule drug-allergy 2"}  # no card of what is not the order's
    (action,) = labels["Aris rule drug-allergy 2"]["suggestions"][0]["actions"]
    assert action == {"type": "delete", "description": action["description"], "resourceId": "MedicationRequest/amox"}
    assert labels["Aris rule drug-allergy 2"]["indicator"] == "critical"
    if hook == "order-select":
        body["context"]["selections"] = ["MedicationRequest/ibu"]
        (card,) = check_cards(post(client, body).json())
        assert card["source"]["label"] == "Aris rule nsaid-egfr 1"


def test_the_texts_of_a_record_are_no_markup(client: TestClient) -> None:
    body = call("order-sign", allergy("Penicillin <img src=x> [x](javascript:1) " + "y" * 300),
                drafts=[drug("Amoxicillin **500**", id="a")])  # fmt: skip
    (card,) = check_cards(post(client, body).json())
    assert "<img" not in card["detail"].replace("\\<", "") and "](" not in card["detail"].replace("\\]\\(", "")
    assert len(card["summary"]) < 140


@pytest.mark.parametrize("change", [
    lambda b: b.pop("hook"), lambda b: b.update(hook="order-sign"), lambda b: b.pop("hookInstance"),
    lambda b: b.pop("context"), lambda b: b["context"].update(patientId="a/b?c"), lambda b: b.update(prefetch=[1]),
    lambda b: b["prefetch"].update(patient="p1"), lambda b: b["prefetch"].update(patient=patient("other")),
    lambda b: b["prefetch"].update(patient={"resourceType": "Patient", "id": 5}),
])  # fmt: skip
def test_a_malformed_call_is_refused_with_an_outcome(client: TestClient, change: Any) -> None:
    body = call("patient-view")
    change(body)
    answer = client.post("/cds-services/aris-patient-view", json=body)
    assert answer.status_code in (400, 412)
    outcome = answer.json()
    assert outcome["resourceType"] == "OperationOutcome" and outcome["issue"][0]["diagnostics"]


def test_optional_fields_and_those_of_the_next_version_do_not_matter(client: TestClient) -> None:
    body = call("patient-view", recent("potassium", 6.9), extension={"a": None}, fhirServer=None,
                fhirAuthorization=None, futureField=[1, 2])  # fmt: skip
    body["context"] |= {"patientId": "Patient/p1", "encounterId": None}
    assert check_cards(post(client, body).json())


def test_an_unknown_service_and_a_wrong_type_are_refused(client: TestClient) -> None:
    assert client.post("/cds-services/none", json=call("patient-view")).status_code == 404
    assert client.post("/cds-services/aris-patient-view", content="hook=1").status_code == 415
    broken = client.post(
        "/cds-services/aris-patient-view", content="{", headers={"Content-Type": "application/json"}
    )
    assert broken.status_code == 400 and broken.json()["resourceType"] == "OperationOutcome"


class Ehr:
    """An EHR's FHIR server: remembers what it was asked."""

    def __init__(self, **answers: Any) -> None:
        self.asked: list[httpx2.Request] = []
        self.answers = answers

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request)
        kind = request.url.path.removeprefix("/fhir/").split("/")[0]
        found = self.answers.get(kind, patient() if kind == "Patient" else bundle() | {"type": "searchset"})
        return httpx2.Response(found) if isinstance(found, int) else httpx2.Response(200, json=found)

    def client(self, *servers: str) -> TestClient:
        settings = CdsHooksSettings(fhir_servers=servers)
        return client_of(settings, gathering=Gathering(settings, httpx2.MockTransport(self)))


EHR = "https://ehr.example/fhir"
TOKEN = {
    "access_token": "secret-token", "token_type": "Bearer", "expires_in": 300, "scope": "patient/*.read", "subject": "a"
}  # fmt: skip


def bare(**more: Any) -> dict[str, Any]:
    return call("patient-view") | {"prefetch": {}, "fhirServer": EHR, "fhirAuthorization": TOKEN} | more


def test_missing_prefetch_is_read_from_an_allowed_server_with_its_token() -> None:
    ehr = Ehr(Observation=bundle(recent("potassium", 6.9)))
    with ehr.client(EHR) as client:
        answer = post(client, bare())
    assert [each["indicator"] for each in check_cards(answer.json())] == ["critical"]
    assert {each.headers["Authorization"] for each in ehr.asked} == {"Bearer secret-token"}
    assert {str(each.url).partition("?")[0] for each in ehr.asked} >= {f"{EHR}/Patient/p1", f"{EHR}/Observation"}


@pytest.mark.parametrize("server", [
    "https://evil.example/fhir", "https://ehr.example.evil.example/fhir", "https://ehr.example:8443/fhir",
    "http://ehr.example/fhir", "https://ehr.example/other", "https://ehr.example@evil.example/fhir",
    "https://ehr.example/fhir/../admin", "https://ehr.example/fhir/%2E%2e/admin", "https://ehr.example/fhir?to=",
    "https://ehr.example/fhirx", "{{fhirServerUrl}}", "file:///etc/passwd", "",
])  # fmt: skip
def test_a_server_that_is_not_allowed_is_never_asked(server: str) -> None:
    ehr = Ehr()
    with ehr.client(EHR) as client:
        answer = post(client, bare(fhirServer=server))
    assert answer.status_code == 412 and not ehr.asked
    assert "secret-token" not in answer.text


def test_412_only_where_data_are_neither_sent_nor_readable() -> None:
    with Ehr(Observation=500).client(EHR) as client:
        assert post(client, bare()).status_code == 412
        assert post(client, call("patient-view")).status_code == 200
        assert post(client, bare(fhirServer=None)).status_code == 412
    with Ehr(Observation=[1]).client(EHR) as client:
        assert post(client, bare()).status_code == 412


def test_an_outcome_or_a_first_page_in_prefetch_is_read_again() -> None:
    ehr = Ehr(Observation=bundle(recent("potassium", 6.9)))
    page = bundle() | {"link": [{"relation": "next", "url": f"{EHR}/Observation?page=2"}]}
    for sent in ({"resourceType": "OperationOutcome", "issue": []}, page):
        body = call("patient-view", fhirServer=EHR)
        body["prefetch"]["observations"] = sent
        with ehr.client(EHR) as client:
            assert check_cards(post(client, body).json())
        assert [each.url.path for each in ehr.asked] == ["/fhir/Observation"]
        ehr.asked.clear()


def test_all_pages_are_read_and_none_elsewhere() -> None:
    def serve(next_url: str) -> int:
        def answer(request: httpx2.Request) -> httpx2.Response:
            if request.url.path.startswith("/fhir/Patient"):
                return httpx2.Response(200, json=patient())
            if "page=2" in str(request.url):
                return httpx2.Response(200, json=bundle(recent("potassium", 6.9)))
            first = bundle()
            if request.url.path == "/fhir/Observation":
                first["link"] = [{"relation": "next", "url": next_url}]
            return httpx2.Response(200, json=first)

        settings = CdsHooksSettings(fhir_servers=(EHR,))
        with client_of(settings, gathering=Gathering(settings, httpx2.MockTransport(answer))) as client:
            found = post(client, bare())
        return len(found.json()["cards"]) if found.status_code == 200 else -found.status_code

    assert serve(f"{EHR}/Observation?page=2") == 1 and serve("Observation?page=2") == 1
    assert serve("https://evil.example/Observation?page=2") == -412
    assert serve(f"{EHR}/Observation?_count=500") == -412  # for ever


def test_feedback_is_stored_with_the_rule_and_answered(tmp_path: Path) -> None:
    path = tmp_path / "feedback.jsonl"
    with client_of(CdsHooksSettings(feedback=path)) as client:
        (card,) = check_cards(post(client, call("patient-view", recent("potassium", 6.9))).json())
        given = {"feedback": [
            {"card": card["uuid"], "outcome": "accepted", "acceptedSuggestions": [{"id": str(uuid.uuid4())}],
             "outcomeTimestamp": "2024-06-01T12:00:00Z"},
            {"card": card["uuid"], "outcome": "overridden", "outcomeTimestamp": "2024-06-01T12:00:00+02:00",
             "overrideReason": {"reason": {"code": "known", "system": "s"}, "userComment": "seen"}},
        ]}  # fmt: skip
        assert client.post("/cds-services/aris-patient-view/feedback", json=given).status_code == 200
        for bad in ({"feedback": []}, {}, {"feedback": [{"card": "x", "outcome": "maybe", "outcomeTimestamp": "now"}]}):
            assert client.post("/cds-services/aris-patient-view/feedback", json=bad).status_code == 400
        assert client.post("/cds-services/none/feedback", json=given).status_code == 404
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [each["outcome"] for each in rows] == ["accepted", "overridden"]
    assert {each["rule"] for each in rows} == {"potassium 1"} and rows[1]["overrideReason"]["userComment"] == "seen"
    assert path.stat().st_mode & 0o077 == 0


@pytest.fixture(scope="module")
def signing(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """(key, settings): a client that signs with ES384."""
    jwk = pytest.importorskip("joserfc.jwk")
    key = jwk.ECKey.generate_key("P-384", {"kid": "k1", "alg": "ES384", "use": "sig"})
    path = tmp_path_factory.mktemp("keys") / "jwks.json"
    path.write_text(json.dumps({"keys": [key.as_dict(private=False)]}))
    return key, CdsHooksSettings(clients={"https://ehr.example": path}, base_url="https://aris.example")


def claims(**more: Any) -> dict[str, Any]:
    now = int(time.time())
    return {
        "iss": "https://ehr.example", "aud": "https://aris.example/cds-services/aris-patient-view", "iat": now,
        "exp": now + 300, "jti": str(uuid.uuid4()),
    } | more  # fmt: skip


def sign(key: Any, said: dict[str, Any], **header: Any) -> str:
    from joserfc import jwt

    head = {"alg": "ES384", "typ": "JWT", "kid": "k1"} | header
    return jwt.encode(head, said, key, algorithms=["ES384", "HS256", "ES256"])


def test_a_signed_call_is_answered_once(signing: Any) -> None:
    key, settings = signing
    with client_of(settings, api_key="other") as client:
        token = {"Authorization": f"Bearer {sign(key, claims())}"}
        assert post(client, call("patient-view"), headers=token).status_code == 200
        assert post(client, call("patient-view"), headers=token).status_code == 401  # its jti was used
        assert client.get("/cds-services").status_code == 200
        assert client.get("/healthz").status_code == 200


def test_calls_that_are_not_signed_as_they_must_be_are_refused(signing: Any) -> None:
    import base64

    from joserfc.jwk import ECKey, OctKey

    key, settings = signing
    now = int(time.time())

    def part(value: dict) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    unsigned = f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(claims())}."
    public = json.dumps(key.as_dict(private=False))
    tokens = [
        "", "x", "a.b.c", unsigned, sign(ECKey.generate_key("P-384"), claims()),
        sign(OctKey.import_key(public), claims(), alg="HS256"),  # the public key as a shared secret
        sign(key, claims(iss="https://other.example")), sign(key, claims(aud="https://aris.example/cds-services/other")),
        sign(key, claims(exp=now - 3600, iat=now - 4000)), sign(key, claims(exp=now + 10_000_000)),
        sign(key, claims(iat=now + 3600)), sign(key, claims(jti="")), sign(key, claims(iss=5)),
        sign(key, {name: each for name, each in claims().items() if name != "exp"}),
    ]  # fmt: skip
    with client_of(settings) as client:
        for token in tokens:
            answer = post(client, call("patient-view"), headers={"Authorization": f"Bearer {token}"})
            assert answer.status_code == 401, token
            assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert post(client, call("patient-view")).status_code == 401


def test_shared_and_private_keys_and_plain_http_are_refused_at_the_start(tmp_path: Path) -> None:
    from joserfc.jwk import ECKey, OctKey

    path = tmp_path / "jwks.json"
    for key in (OctKey.generate_key(256), ECKey.generate_key("P-256")):
        path.write_text(json.dumps({"keys": [key.as_dict(private=True)]}))
        with pytest.raises(ArisError, match="public"):
            create_cds_app(CdsHooksSettings(clients={"a": path}, base_url="https://aris.example"))
    for server in ("http://ehr.example/fhir", "ehr.example", "https://u@ehr.example/", "https://ehr.example/?a=b"):
        with pytest.raises(ArisError, match="CDS Hooks"):
            CdsHooksSettings(fhir_servers=(server,))


def test_without_a_signature_the_key_of_the_server_is_asked() -> None:
    with client_of(api_key="secret") as client:
        assert post(client, call("patient-view")).status_code == 401
        assert post(client, call("patient-view"), headers={"Authorization": "Bearer secret"}).status_code == 200


def requests_of(data_dir: Path) -> list[tuple[str, str]]:
    return [(path.name, path.read_text(encoding="utf-8-sig"))
            for path in sorted((data_dir / "cdshooks_requests_opioid").glob("*.json"))]  # fmt: skip


@pytest.mark.data
def test_all_opioid_requests_get_a_valid_answer_or_a_correct_error(data_dir: Path) -> None:
    """As they are (most of the files go on after their document ends), and their first document alone."""
    ehr = Ehr()
    served = 0
    with ehr.client("http://localhost:8080/fhir") as allowed, client_of() as closed:
        for name, text in requests_of(data_dir):
            headers = {"Content-Type": "application/json"}
            body, end = json.JSONDecoder().raw_decode(text.lstrip())
            place = f"/cds-services/{HOOKS[body['hook']]}"
            whole = closed.post(place, content=text.encode(), headers=headers)
            assert whole.status_code == (412 if not text.lstrip()[end:].strip() else 400), name
            assert whole.json()["resourceType"] == "OperationOutcome", name
            assert closed.post(place, json=body).status_code == 412, name
            id = body["context"]["patientId"].removeprefix("Patient/")
            ehr.answers["Patient"] = patient(id)
            answer = allowed.post(place, json=body)
            if answer.status_code == 200:
                check_cards(answer.json())
                served += 1
            else:
                assert answer.status_code == 412, name
                assert answer.json()["resourceType"] == "OperationOutcome"
    assert served >= 60


@pytest.mark.data
def test_opioid_with_a_benzodiazepine_of_the_guidelines_own_request_is_told(data_dir: Path, client: TestClient) -> None:
    """Their recommendation 11, with the drugs of its example put where our prefetch asks for them."""
    texts = dict(requests_of(data_dir))
    text = texts["OpioidCDSREC11__request-example-rec-11-opioid-trigger-with-benzo.json"]
    body, _ = json.JSONDecoder().raw_decode(text)
    other = next(iter(re.findall(r'"display": "([^"]*)"', text[text.index('"item2"'):])))
    body["prefetch"] = dict.fromkeys(KEYS) | {
        "patient": patient(body["context"]["patientId"].removeprefix("Patient/")),
        "medications": bundle(drug(other, of=body["context"]["patientId"].removeprefix("Patient/"))),
    }
    cards = check_cards(post(client, body).json())
    assert [each["source"]["label"] for each in cards] == ["Aris rule opioid-benzodiazepine 1"]


def draft(text: str, id: str, **more: Any) -> dict[str, Any]:
    return drug(text, id=id, status="draft") | more


def test_a_selected_order_is_judged_beside_the_others_that_are_being_written(client: TestClient) -> None:
    drafts = [draft("Oxycodone 10 MG Oral Tablet", "d1"), draft("Diazepam 5 MG Oral Tablet", "d2")]
    body = call("order-select", drafts=drafts)
    body["context"]["selections"] = ["MedicationRequest/d2"]
    (card,) = check_cards(post(client, body).json())
    assert "opioid-benzodiazepine" in card["source"]["label"]
    assert [each["resourceId"] for each in card["suggestions"][0]["actions"]] == ["MedicationRequest/d2"]
    body["context"]["draftOrders"] = bundle(*drafts[:1], draft("Amoxicillin 500 MG Oral Capsule", "d2"))
    assert check_cards(post(client, body).json()) == []


def test_an_order_that_is_being_stopped_is_no_risk_and_one_that_is_proposed_is(client: TestClient) -> None:
    low = recent("egfr", 22)
    for status, intent, cards in (("cancelled", "order", 0), ("draft", "proposal", 1), ("draft", "plan", 1)):
        order = draft("metformin 500 MG Oral Tablet", "d1", status=status, intent=intent)
        body = call("order-sign", low, drafts=[order])
        found = check_cards(post(client, body).json())
        assert len([each for each in found if each["indicator"] == "critical"]) == cards


def test_a_draft_order_may_name_its_drug_by_a_resource_beside_it(client: TestClient) -> None:
    order = draft("", "d1", medicationReference={"reference": "Medication/m1"})
    del order["medicationCodeableConcept"]
    substance = {"resourceType": "Medication", "id": "m1", "code": {"text": "metformin 500 MG Oral Tablet"}}
    body = call("order-sign", recent("egfr", 22), drafts=[order, substance])
    assert any("metformin" in each["summary"].lower() for each in check_cards(post(client, body).json()))
