"""The rules of the watch: read by everybody, switched by administrators with a reason."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

from aris.errors import ArisError
from aris.flow.monitoring.alarms import switch_rule
from aris.service.workspace.context import Caller, Workspace, allow
from aris.service.workspace.errors import RefusedError, not_found
from aris.service.workspace.patients.opening import Here
from aris.service.workspace.schemas.alarms import RuleChange, RuleLine, Rules, SwitchRule
from aris.store.reading.records import alarms as books
from aris.store.reading.records.tables import RuleSwitchRow
from aris.tasks.monitor import Rule, RuleSet, load_rules

router = APIRouter(prefix="/api/rules", tags=["alarms"])
Anyone = Annotated[Caller, allow("reader", "viewer", "admin", scope="read")]
Admin = Annotated[Caller, allow("admin", scope="write")]
Key = Annotated[str, Path(max_length=64, pattern=r"^[a-z][a-z0-9-]*$")]


@router.get("")
def rules(caller: Anyone, workspace: Here) -> Rules:
    """Every rule with its source, author and approval; and who switched what."""
    return _rules(workspace, caller)


@router.put("/{key}")
def switch(key: Key, body: SwitchRule, caller: Admin, workspace: Here) -> Rules:
    """Switch a rule off or on. What it found ends or begins with the next judgement of each record."""
    if key not in _loaded(workspace).rules:
        raise not_found("there is no such rule in use")
    if not body.why:
        raise RefusedError(422, "malformed", "say why")
    switch_rule(workspace.house, caller.login, key, body.on, body.why, workspace.now())
    return _rules(workspace, caller)


def _loaded(workspace: Workspace) -> RuleSet:
    try:
        return load_rules(workspace.house.settings.monitor.rules)
    except ArisError as error:
        raise RefusedError(422, "rules", str(error)) from None


def _rules(workspace: Workspace, caller: Caller) -> Rules:
    found = _loaded(workspace)
    with workspace.house.store.sessions.reading() as session:
        off = books.switched_off(session)
        raised = books.per_rule(session)
        changes = books.switches(session)
    lines = [_line(each, found, raised, off.get(each.id)) for each in found]
    lines += [_line(each, found, {}, None, used=False) for each in found.others]
    folder = workspace.house.settings.monitor.rules
    return Rules(
        rules=sorted(lines, key=lambda each: (each.id, -each.version)),
        changes=[RuleChange(rule=row.rule, on=row.on, login=row.login, why=row.why,
        at=row.at.isoformat()) for row in changes],
        folder="" if folder is None else str(folder), may_switch="admin" in caller.roles,
    )  # fmt: skip


def _line(
    rule: Rule, found: RuleSet, raised: dict[str, int], off: RuleSwitchRow | None, *, used: bool = True
) -> RuleLine:
    state = "switched off" if off is not None else "in use"
    note = f"{off.login}: {off.why}" if off is not None else ""
    if not used:
        state = "withdrawn" if rule.withdrawn is not None else "replaced"
        gone = rule.withdrawn
        note = f"{gone.by}, {gone.date}: {gone.reason}" if gone is not None else "a higher version is in use"
    return RuleLine(
        id=rule.id, version=rule.version, title=rule.title, problem=rule.problem, author=rule.author,
        approved_by=rule.approved.by, approved_at=str(rule.approved.date), source=rule.source.text, url=rule.source.url,
        origin=(found.origins or {}).get(rule.id, "") if used else "", kind=rule.check.kind, applies=_applies(rule),
        advice=rule.advice, state=state, note=note, alarms=raised.get(rule.id, 0),  # type: ignore[arg-type]
    )  # fmt: skip


def _applies(rule: Rule) -> str:
    of = rule.applies
    said = [
        f"from {of.from_age:g} years" if of.from_age is not None else "",
        f"below {of.below_age:g} years" if of.below_age is not None else "", of.sex or "",
        "not in pregnancy" if not of.pregnancy else "", "not on chronic dialysis" if not of.dialysis else "",
    ]  # fmt: skip
    return ", ".join(each for each in said if each) or "everybody"
