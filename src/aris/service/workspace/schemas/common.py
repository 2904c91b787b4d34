"""The base of the workspace's schemas, and the body of every error."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Sent(BaseModel):
    """What the server says."""

    model_config = ConfigDict(frozen=True)


class Taken(BaseModel):
    """What the server takes; a field that it does not know is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ProblemError(Sent):
    """An error: `code` for programs, `message` for people."""

    code: str
    message: str


class Problem(Sent):
    """The body of every answer with a status from 400 on."""

    error: ProblemError
