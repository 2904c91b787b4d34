"""Schemas of sessions, users, API tokens and preferences."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from aris.service.workspace.schemas.common import Line, Sent, Taken
from aris.store.reading.access.tokens import Scope
from aris.store.reading.users import LONGEST, Role
from aris.store.reading.users import User as Kept

# What is longer than any password is not even looked at.
Password = Annotated[str, Field(max_length=4 * LONGEST)]
Login = Annotated[Line, Field(max_length=64)]


class User(Sent):
    """A user. `name` is a DICOM person name (Family^Given)."""

    login: str
    name: str
    role: Role
    organization: str
    identifier: str
    active: bool

    @classmethod
    def of(cls, user: Kept) -> User:
        """The user as the store knows him."""
        return cls.model_validate(user.__dict__)


class SessionModel(Sent):
    """The model that drafts; `caution` is the banner, "" for one that may serve patients."""

    name: str
    revision: str
    caution: str


class SessionOidc(Sent):
    """The OpenID provider that users may sign in with."""

    name: str


class SessionSite(Sent):
    """The part of the site's settings that the pages need."""

    second_signature: bool
    destinations: list[str]
    demo_available: bool


class Session(Sent):
    """The user who is here, and the house. `csrf` goes back as header X-CSRF-Token."""

    setup_needed: bool
    user: User | None
    csrf: str
    expires_at: datetime | None
    version: str
    model: SessionModel | None
    oidc: SessionOidc | None
    site: SessionSite
    method: str = ""
    proved_until: datetime | None = None
    model_state: str = "none"


class SetUp(Taken):
    """The first user, an admin+reader; `code` was printed by the server."""

    code: Annotated[str, Field(max_length=64)]
    login: Login
    password: Password
    name: Annotated[Line, Field(max_length=256)]
    organization: Annotated[Line, Field(max_length=256)]
    identifier: Annotated[Line, Field(max_length=64)] = ""


class SignIn(Taken):
    """A login and its password."""

    login: Login
    password: Password


class NewUser(Taken):
    """A user to be made."""

    login: Login
    password: Password
    name: Annotated[Line, Field(max_length=256)] = ""
    role: Role
    organization: Annotated[Line, Field(max_length=256)] = ""
    identifier: Annotated[Line, Field(max_length=64)] = ""


class UserChange(Taken):
    """A change of a user; a field that is left out stays as it is."""

    password: Password | None = None
    role: Role | None = None
    active: bool | None = None


class PasswordChange(Taken):
    """A user's own new password, with the one that he has."""

    current: Password
    password: Password


class NewApiToken(Taken):
    """A token to be made; `days` null: until it is revoked."""

    name: Annotated[Line, Field(min_length=1, max_length=64)]
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=5)]
    days: Annotated[int, Field(ge=1, le=3660)] | None = None


class ApiToken(Sent):
    """A token; `token` itself is shown once, when it is made."""

    id: int
    name: str
    scopes: list[Scope]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    token: str | None = None
