"""The base of the workspace's schemas, and the body of every error."""

from __future__ import annotations

from typing import Annotated

from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field

# A string without control characters: PostgreSQL keeps no NUL, and names have one line.
Line = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]*$")]


class Sent(BaseModel):
    """A part of an answer."""

    model_config = ConfigDict(frozen=True)


def answered(body: Sent, status: int = 200) -> Response:
    """A large answer, written where its route ran: FastAPI would make dictionaries of it and check them once more.

    Its route names the type as `response_model`, so that the schema has it.
    """
    return Response(body.model_dump_json(), status, media_type="application/json")


class Taken(BaseModel):
    """A part of a body that the server takes; a field that it does not know is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ProblemError(Sent):
    """An error: `code` for programs, `message` for people."""

    code: str
    message: str


class Problem(Sent):
    """The body of every answer with a status from 400 on."""

    error: ProblemError
