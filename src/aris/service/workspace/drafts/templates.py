"""Report templates and macros: those that come with Aris, and a site's own."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Annotated, Any

import yaml
from fastapi import APIRouter, Path, Query, Request, Response

from aris.exchange.documents.report import clean
from aris.service.workspace.context import Caller, Workspace, allow, here
from aris.service.workspace.drafts.mrrt import TemplateError, read_mrrt
from aris.service.workspace.errors import RefusedError, not_found
from aris.service.workspace.schemas.drafts import Macro, NewMacro, Template
from aris.store.reading import macros, templates
from aris.store.reading.tables import TemplateRow

router = APIRouter(prefix="/api", tags=["templates"])
Anyone = Annotated[Caller, allow("admin", "reader", "viewer", scope="read")]
Admin = Annotated[Caller, allow("admin", scope="write")]
Here = Annotated[Workspace, here]
_OWN = "own-"


@router.get("/templates")
def list_templates(caller: Anyone, workspace: Here) -> list[Template]:
    """Every template: the site's own first."""
    with workspace.house.store.sessions.reading() as session:
        own = [_told(each) for each in templates.all_of(session)]
    return [*own, *_shipped()[0]]


@router.post(
    "/templates", status_code=201,
    openapi_extra={"requestBody": {"required": True, "content": {"text/html": {"schema": {"type": "string"}}}}},
)  # fmt: skip
async def add_template(
    request: Request,
    caller: Admin,
    workspace: Here,
    modality: Annotated[str, Query(max_length=16, pattern="^[A-Z]{0,16}$")] = "",
    normal: Annotated[bool, Query()] = False,
) -> Template:
    """Take over a template in IHE's form (MRRT): HTML as the body. Of it only words are kept."""
    from starlette.concurrency import run_in_threadpool

    data = await request.body()

    def work() -> Template:
        try:
            found = read_mrrt(data)
        except TemplateError as error:
            raise RefusedError(422, "not_a_template", str(error)) from None

        def keep(session: Any) -> TemplateRow:
            row = templates.add(
                session, name=found.name, modality=modality or found.modality, sections=found.sections, normal=normal,
                login=caller.login, now=workspace.now(),
            )  # fmt: skip
            workspace.house.trail.add(session, caller.login, "add template", "", now=workspace.now(), template=row.id)
            return row

        return _told(workspace.house.store.sessions.write(keep))

    return await run_in_threadpool(work)


@router.delete("/templates/{id}", status_code=204, response_class=Response)
def remove_template(id: Annotated[str, Path(max_length=64)], caller: Admin, workspace: Here) -> None:
    """Remove a template of the site."""
    number = id.removeprefix(_OWN)
    if not id.startswith(_OWN) or not number.isdecimal() or not number.isascii() or len(number) > 9:
        raise not_found("the site has no such template; those that come with Aris stay")

    def work(session: Any) -> bool:
        removed = templates.remove(session, int(number))
        if removed:
            workspace.house.trail.add(
                session, caller.login, "remove template", "", now=workspace.now(), template=int(number)
            )
        return removed

    if not workspace.house.store.sessions.write(work):
        raise not_found("the site has no such template")


@router.get("/macros")
def list_macros(caller: Anyone, workspace: Here) -> list[Macro]:
    """Every macro: the site's own, and those that come with Aris of other names."""
    with workspace.house.store.sessions.reading() as session:
        own = [Macro(name=each.name, text=each.text) for each in macros.all_of(session)]
    names = {each.name for each in own}
    return [*own, *(each for each in _shipped()[1] if each.name not in names)]


@router.post("/macros", status_code=201)
def put_macro(body: NewMacro, caller: Admin, workspace: Here) -> Macro:
    """Keep a macro of the site; one of the same name takes the new text."""
    name, text = " ".join(clean(body.name).split()), clean(body.text)
    if not name or not text:
        raise RefusedError(422, "malformed", "a macro needs a name and a text")

    def work(session: Any) -> None:
        macros.put(session, name, text, caller.login, workspace.now())
        workspace.house.trail.add(session, caller.login, "put macro", "", now=workspace.now())

    workspace.house.store.sessions.write(work)
    return Macro(name=name, text=text)


@router.delete("/macros/{name}", status_code=204, response_class=Response)
def remove_macro(name: Annotated[str, Path(max_length=64)], caller: Admin, workspace: Here) -> None:
    """Remove a macro of the site."""

    def work(session: Any) -> bool:
        removed = macros.remove(session, name)
        if removed:
            workspace.house.trail.add(session, caller.login, "remove macro", "", now=workspace.now())
        return removed

    if not workspace.house.store.sessions.write(work):
        raise not_found("the site has no such macro; those that come with Aris stay")


def _told(row: TemplateRow) -> Template:
    return Template(
        id=f"{_OWN}{row.id}", name=row.name, modality=row.modality, sections=row.sections, own=True, normal=row.normal
    )


@cache
def _shipped() -> tuple[tuple[Template, ...], tuple[Macro, ...]]:
    """Templates and macros that come with Aris; a template of several modalities once for each."""
    data = yaml.safe_load(resources.files(__package__).joinpath("templates.yaml").read_text(encoding="utf-8"))
    made = [
        Template(
            id=each["id"] if at == 0 else f"{each['id']}-{modality.lower()}", name=each["name"], modality=modality,
            sections=each["sections"], own=False, normal=bool(each.get("normal")),
        )
        for each in data["templates"]
        for at, modality in enumerate(each["modalities"])
    ]  # fmt: skip
    return tuple(made), tuple(Macro(**each) for each in data["macros"])
