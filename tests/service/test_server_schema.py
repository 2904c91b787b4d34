"""schemathesis over the server's own OpenAPI schema: whatever a request holds, no 5xx and no undocumented status."""

from __future__ import annotations

import os

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import status_code_conformance
from serving import serving

from aris.backends import NativeBackend
from aris.service import Limits

EXAMPLES = int(os.environ.get("ARIS_SCHEMA_EXAMPLES", "40"))
PATHS = ("/v1/chat/completions", "/v1/completions", "/v1/models", "/v1/models/{name}", "/healthz", "/metrics")


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("path", "examples"),
    [(path, 8) for path in PATHS] + [pytest.param(path, EXAMPLES, marks=pytest.mark.slow) for path in PATHS[:2]],
)
def test_no_request_is_a_defect(backend: NativeBackend, path: str, examples: int) -> None:
    with serving(backend, limits=Limits(output_tokens=8, choices=4)) as up:
        schema = schemathesis.openapi.from_url(f"{up.url}/openapi.json")
        operation = schema[path]["POST" if "completions" in path else "GET"]

        @settings(
            max_examples=examples, deadline=None, database=None, derandomize=True,
            phases=[Phase.generate], suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(case=operation.as_strategy())
        def check(case: schemathesis.Case) -> None:
            case.call_and_validate(
                base_url=up.url, timeout=60, checks=[not_a_server_error, status_code_conformance]
            )

        check()
