"""Cards: flags as CDS Hooks shows them."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from aris.tasks.monitor import Flag

SUMMARY = 140
_SPACE = uuid.UUID("6d1b0f0e-6a3f-5b1e-9a55-2f6f3a1d7c10")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>()#+\-!|~&])")
_OVERRIDES = [
    {"code": "known", "system": "urn:aris:cds-hooks:override", "display": "Known and being dealt with"},
    {"code": "not-applicable", "system": "urn:aris:cds-hooks:override", "display": "Does not apply to this patient"},
    {"code": "benefit", "system": "urn:aris:cds-hooks:override", "display": "The benefit outweighs the risk"},
    {"code": "wrong-data", "system": "urn:aris:cds-hooks:override", "display": "The data are wrong or old"},
]


def card_of(flag: Flag, instance: str, drafts: Sequence[str], workspace_url: str | None) -> dict[str, Any]:
    """Return a flag as a card.

    Args:
        flag: what a rule found.
        instance: of the hook; the same flag of the same instance has the same card id.
        drafts: ids of the orders that are being written.
        workspace_url: an address with {patient}, or None.
    """
    summary = f"{flag.title}: {flag.text}"
    card: dict[str, Any] = {
        "uuid": str(uuid.uuid5(_SPACE, "\x1f".join((instance, flag.rule, flag.severity, *flag.resources)))),
        "summary": summary if len(summary) < SUMMARY else summary[: SUMMARY - 2].rstrip() + "…",
        "detail": _detail(flag),
        "indicator": flag.severity,
        "source": {"label": f"Aris rule {flag.rule} {flag.version}"},
        "overrideReasons": _OVERRIDES,
    }
    if flag.url:
        card["source"]["url"] = flag.url
    if workspace_url is not None:
        patient = quote(flag.patient.removeprefix("Patient/"), safe="")
        card["links"] = [
            {"label": "Record in Aris", "url": workspace_url.replace("{patient}", patient), "type": "absolute"}
        ]
    removed = [id for id in flag.resources if id in drafts]
    if removed:
        card["suggestions"] = [
            {
                "label": "Take this order out" if len(removed) == 1 else "Take these orders out",
                "uuid": str(uuid.uuid5(_SPACE, "\x1f".join((card["uuid"], *removed)))),
                "actions": [
                    {"type": "delete", "description": "Remove the order that is being written", "resourceId": id}
                    for id in removed
                ],
            }
        ]
        card["selectionBehavior"] = "any"
    return card


def _detail(flag: Flag) -> str:
    lines = [_plain(flag.text) + "."]
    lines += [f"Not documented, so it may be worse: {_plain(', '.join(flag.missing))}."] if flag.missing else []
    lines += [_plain(each) + "." for each in flag.notes]
    lines += [_plain(flag.advice)] if flag.advice else []
    lines.append(
        "Rests on: " + "; ".join(
            f"{_plain(each.name)} {_plain(each.shown)} ({_plain(each.id)})" for each in flag.evidence[:10]
        ) + "."
    )  # fmt: skip
    lines.append(f"Source of the rule: {_plain(flag.source)}.")
    lines.append("A rule found this in the data; it is no diagnosis.")
    return "\n\n".join(lines)


def _plain(text: str) -> str:
    """Text of a record as Markdown that shows it as it is."""
    return _MARKDOWN.sub(r"\\\1", text)
