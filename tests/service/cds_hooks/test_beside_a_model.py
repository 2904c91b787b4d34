"""CDS Hooks beside a model's API: both are served, and each has its own callers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from serving import serving

from aris.backends import NativeBackend
from aris.service import CdsHooksSettings, Settings
from fhir_made import patient

CALL = {
    "hook": "order-sign", "hookInstance": "1",
    "context": {"patientId": "p1", "draftOrders": {"resourceType": "Bundle"}},
    "prefetch": {"patient": patient()} | dict.fromkeys(("conditions", "observations", "medications", "allergies")),
}  # fmt: skip


def test_both_are_served(backend: NativeBackend) -> None:
    with serving(backend, cds_hooks=CdsHooksSettings()) as served, served.http() as client:
        assert len(client.get("/cds-services").json()["services"]) == 3
        assert client.post("/cds-services/aris-order-sign", json=CALL).json() == {"cards": []}
        assert client.get("/v1/models").status_code == 200
        assert client.post("/cds-services/aris-order-sign", json=CALL,
                           headers={"Origin": "https://evil.example"}).status_code == 403  # fmt: skip


def test_without_its_setting_it_is_not_there(backend: NativeBackend) -> None:
    assert Settings().cds_hooks is None
    with serving(backend) as served, served.http() as client:
        assert client.get("/cds-services").status_code == 404


def test_a_signing_client_needs_no_key_and_its_token_opens_nothing_else(
    backend: NativeBackend, tmp_path: Path
) -> None:
    ec = pytest.importorskip("joserfc.jwk").ECKey.generate_key("P-256", {"kid": "k"})
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps({"keys": [ec.as_dict(private=False)]}))
    hooks = CdsHooksSettings(clients={"a": path}, base_url="https://aris.example")
    with serving(backend, cds_hooks=hooks, api_key="secret") as served, served.http() as client:
        assert client.get("/cds-services").status_code == 200
        assert client.post("/cds-services/aris-order-sign", json=CALL).status_code == 401
        assert client.get("/v1/models").status_code == 401
        assert client.get("/cds-servicesx").status_code == 401
