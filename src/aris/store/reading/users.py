"""Users, their roles and passwords (argon2id). A password is checked at sign-in and once more at each signature."""

from __future__ import annotations

import re
import threading
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, get_args

from sqlalchemy import select
from sqlalchemy.orm import Session

from aris.errors import StoreError
from aris.store.reading.lasting_tables import UserRow
from aris.store.sessions import Sessions

if TYPE_CHECKING:
    from argon2 import PasswordHasher

# "admin+reader" is both: who sets up a house alone needs both.
Role = Literal["admin", "reader", "viewer", "admin+reader"]
ROLES: tuple[Role, ...] = get_args(Role)
_ADMINS = tuple(each for each in ROLES if "admin" in each.split("+"))
# NIST SP 800-63B-4 3.1.1.2: at least 15 characters where the password is all there is; no rule of composition.
SHORTEST, LONGEST = 15, 256
# Each takes 64 MiB for a moment: many attempts at once must not take the memory.
_hashing = threading.BoundedSemaphore(4)
_LOGIN = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}")
# After so many wrong passwords in a row the next is not looked at for a while: twice as long each time.
_FREE_FAILURES, _FIRST_WAIT, _LONGEST_WAIT = 5, timedelta(seconds=30), timedelta(minutes=15)


class AuthenticationError(StoreError):
    """The password is wrong, nobody has this name, or the user is not active; the message does not tell which."""


class PermissionDeniedError(StoreError):
    """The user's role does not allow it."""


@dataclass(frozen=True)
class User:
    """A user as all but this module see one. `name` is a DICOM person name."""

    login: str
    name: str
    role: str
    organization: str
    identifier: str
    active: bool

    @classmethod
    def of(cls, row: UserRow) -> User:
        """The user of a row."""
        return cls(row.login, row.name, row.role, row.organization, row.identifier, row.active)

    @property
    def roles(self) -> frozenset[str]:
        """The single roles of the user's role."""
        return frozenset(self.role.split("+"))

    def require(self, *roles: Role) -> None:
        """Raise `PermissionDeniedError` unless the user has one of the roles."""
        if not self.roles.intersection(roles):
            raise PermissionDeniedError(f"only a {' or '.join(roles)} may do this; {self.login} is a {self.role}")


@lru_cache(maxsize=1)
def _hasher() -> PasswordHasher:
    try:
        from argon2 import PasswordHasher
    except ImportError:
        raise StoreError(
            "passwords need argon2-cffi, which is not installed; pip install 'aris-medgemma[dicom]'"
        ) from None
    return PasswordHasher()  # RFC 9106's second recommended parameters: 64 MiB, 3 passes, 4 lanes


def add(
    session: Session, login: str, password: str, *, role: str, name: str = "", organization: str = "",
    identifier: str = "", now: datetime,
) -> User:  # fmt: skip
    """Make a user.

    Raises:
        StoreError: the name is taken or not allowed, no such role, or the password is too short.
    """
    if not _LOGIN.fullmatch(login):
        raise StoreError("user: a login has small letters, digits and . _ @ -, 64 at most")
    if not all(each.isprintable() for each in (*name.split(), *organization.split(), identifier)):
        raise StoreError("user: name, organization and identifier have letters that can be printed")
    if find(session, login) is not None:
        raise StoreError(f"user: {login} is taken; choose another login")
    _require_role(role)
    if _signs(role) and not (name.strip() and organization.strip()):
        raise StoreError("user: a reader signs: give a name (Family^Given) and an organization")
    row = UserRow(
        login=login, name=" ".join(name.split())[:256] or login, identifier=identifier[:64],
        organization=" ".join(organization.split())[:256], role=role, password=_hashed(password), active=True,
        failures=0, locked_until=None, created_at=now, changed_at=now,
    )  # fmt: skip
    session.add(row)
    session.flush()
    return User.of(row)


def find(session: Session, login: str, *, lock: bool = False) -> UserRow | None:
    """The row of a login; None if there is none."""
    query = select(UserRow).where(UserRow.login == login)
    return session.scalar(query.with_for_update() if lock else query)


def require(session: Session, login: str) -> User:
    """An active user.

    Raises:
        AuthenticationError: there is none.
    """
    row = find(session, login)
    if row is None or not row.active:
        raise AuthenticationError("no such user, or no longer active; see `aris users list`")
    return User.of(row)


def all_of(session: Session) -> list[User]:
    """All users, by login."""
    return [User.of(row) for row in session.scalars(select(UserRow).order_by(UserRow.login))]


def change(
    session: Session, login: str, now: datetime, *, password: str | None = None, role: str | None = None,
    active: bool | None = None,
) -> User:  # fmt: skip
    """Change a user's password, role or whether he may still sign in.

    Raises:
        StoreError: nobody of this login, no such role, a short password, or no admin would be left.
    """
    row = find(session, login, lock=True)
    if row is None:
        raise StoreError(f"user: nobody is {login}; see `aris users list`")
    was_admin = "admin" in row.role.split("+") and row.active
    if role is not None:
        _require_role(role)
        if _signs(role) and not (row.name.strip() and row.organization.strip()):
            raise StoreError("user: a reader signs with a name and an organization; make a new login with both")
        row.role = role
    if password is not None:
        row.password, row.failures, row.locked_until = _hashed(password), 0, None
    if active is not None:
        row.active = active
    row.changed_at = now
    session.flush()
    admins = select(UserRow.id).where(UserRow.role.in_(_ADMINS), UserRow.active.is_(True)).limit(1)
    if was_admin and session.scalar(admins) is None:
        raise StoreError("user: this is the last admin; make another one first")
    return User.of(row)


def authenticate(sessions: Sessions, login: str, password: str, now: datetime) -> User | None:
    """The user, if this is the password; None if not, or while too many wrong ones came before.

    Whoever is unknown takes as long. The hash is computed outside any transaction: nobody waits for it.
    """
    from argon2.exceptions import InvalidHashError, VerificationError

    hasher = _hasher()
    with sessions.reading() as session:
        seen = find(session, login)
    right = False
    with _hashing, suppress(VerificationError, InvalidHashError):
        # Of a password that is too long nothing is computed.
        right = hasher.verify(seen.password if seen is not None else _nobody(), password[: LONGEST + 1])
    if seen is None or not seen.active or (seen.locked_until is not None and seen.locked_until > now):
        return None
    if right and not seen.failures and not hasher.check_needs_rehash(seen.password):
        return User.of(seen)

    def note(session: Session) -> User | None:
        row = find(session, login, lock=True)
        if row is None or row.password != seen.password or not row.active:  # changed meanwhile
            return None
        if right:
            row.failures, row.locked_until = 0, None
            if hasher.check_needs_rehash(row.password):
                row.password = hasher.hash(password)
            return User.of(row)
        row.failures += 1
        if row.failures >= _FREE_FAILURES:
            row.locked_until = now + min(_FIRST_WAIT * 2 ** min(row.failures - _FREE_FAILURES, 10), _LONGEST_WAIT)
        return None

    return sessions.write(note)


@lru_cache(maxsize=1)
def _nobody() -> str:
    return _hasher().hash("the password of nobody")


def _hashed(password: str) -> str:
    if not SHORTEST <= len(password) <= LONGEST:
        raise StoreError(
            f"user: a password has {SHORTEST} to {LONGEST} characters; a sentence of several words is good"
        )
    return _hasher().hash(password)


def _signs(role: str) -> bool:
    return "reader" in role.split("+")


def _require_role(role: str) -> None:
    if role not in ROLES:
        raise StoreError(f"user: no role {role!r:.20}; {', '.join(ROLES)}")
