"""Calls of a CDS client, as CDS Hooks 2.0 writes them; tolerant where clients differ, and of fields that come later."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")


class _Sent(BaseModel):
    model_config = ConfigDict(extra="ignore")


class FhirAuthorization(_Sent):
    """The token by which data may be read from the client's FHIR server."""

    access_token: str = Field(min_length=1, max_length=16384, repr=False)
    token_type: str = "Bearer"


class Context(_Sent):
    """The hook's context: whose record, and which orders are being written.

    Attributes:
        patient: the id, without "Patient/", which clients write or leave out.
        selections: ids of the orders that are selected (order-select).
        draft_orders: a Bundle of orders (order-select, order-sign).
    """

    patient: str = Field(alias="patientId")
    encounter: str | None = Field(None, alias="encounterId")
    user: str | None = Field(None, alias="userId")
    selections: list[str] = Field(default_factory=list, max_length=1000)
    draft_orders: dict[str, Any] | None = Field(None, alias="draftOrders")

    @field_validator("patient")
    @classmethod
    def _id(cls, value: str) -> str:
        id = value.removeprefix("Patient/")
        if not _ID.fullmatch(id):
            raise ValueError("no id of a FHIR resource")
        return id

    @field_validator("selections", mode="before")
    @classmethod
    def _list(cls, value: Any) -> Any:
        return [] if value is None else value


class HookRequest(_Sent):
    """A call of a service.

    Attributes:
        instance: of the hook; clients also send what is no UUID.
        prefetch: by key, a resource, or None where the client looked and found none.
    """

    hook: str = Field(max_length=100)
    instance: str = Field(alias="hookInstance", min_length=1, max_length=200)
    fhir_server: str | None = Field(None, alias="fhirServer", max_length=2000)
    authorization: FhirAuthorization | None = Field(None, alias="fhirAuthorization")
    context: Context
    prefetch: dict[str, dict[str, Any] | None] = Field(default_factory=dict)

    @field_validator("prefetch", mode="before")
    @classmethod
    def _some(cls, value: Any) -> Any:
        return {} if value is None else value


class AcceptedSuggestion(_Sent):
    """A suggestion that was taken."""

    id: str = Field(max_length=100)


class Reason(_Sent):
    """A coded reason."""

    code: str = Field(max_length=200)
    system: str | None = Field(None, max_length=500)
    display: str | None = Field(None, max_length=500)


class OverrideReason(_Sent):
    """Reason why a card was not followed."""

    reason: Reason | None = None
    comment: str | None = Field(None, alias="userComment", max_length=4000)


class Feedback(_Sent):
    """Outcome of a card."""

    card: str = Field(max_length=100)
    outcome: Literal["accepted", "overridden"]
    accepted: list[AcceptedSuggestion] = Field(default_factory=list, alias="acceptedSuggestions", max_length=100)
    override: OverrideReason | None = Field(None, alias="overrideReason")
    at: str = Field(alias="outcomeTimestamp", max_length=40, pattern=r"^\d{4}-\d\d-\d\dT[0-9:.]+(Z|[+-]\d\d:?\d\d)$")

    @field_validator("accepted", mode="before")
    @classmethod
    def _list(cls, value: Any) -> Any:
        return [] if value is None else value


class FeedbackRequest(_Sent):
    """A call of a service's feedback endpoint."""

    feedback: list[Feedback] = Field(min_length=1, max_length=1000)
