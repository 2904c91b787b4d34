"""All routes of patients' records, alarms and rules."""

from __future__ import annotations

from fastapi import APIRouter

from aris.service.workspace.patients import alarms, flags, listing, page, resources, rules, summaries, timeline, trends

router = APIRouter()
for each in (listing, page, timeline, trends, flags, summaries, resources, alarms, rules):
    router.include_router(each.router)
