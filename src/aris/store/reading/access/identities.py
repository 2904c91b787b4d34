"""Identities at an OpenID provider: which of its subjects is which user."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from aris.errors import StoreError
from aris.store.reading.access.tables import IdentityRow
from aris.store.reading.lasting_tables import UserRow
from aris.store.reading.users import AuthenticationError


def find(session: Session, issuer: str, subject: str) -> str | None:
    """The login of a subject; None if it is nobody's yet."""
    query = select(UserRow.login).join(IdentityRow, IdentityRow.user_pk == UserRow.id)
    return session.scalar(query.where(IdentityRow.issuer == issuer, IdentityRow.subject == subject))


def link(session: Session, login: str, issuer: str, subject: str, now: datetime) -> None:
    """Hold a user to a subject from now on.

    Raises:
        AuthenticationError: nobody has this login, or he is held to another subject.
    """
    user = session.scalar(select(UserRow.id).where(UserRow.login == login).with_for_update())
    if user is None:
        raise AuthenticationError("nobody here has the login that the provider names")
    held = session.scalar(select(IdentityRow).where(IdentityRow.user_pk == user, IdentityRow.issuer == issuer))
    if held is not None:
        raise AuthenticationError("the user is held to another account at the provider; an admin can loosen that")
    if not subject or len(subject) > 256 or len(issuer) > 512:
        raise StoreError("the provider's subject is empty or too long")
    session.add(IdentityRow(user_pk=user, issuer=issuer, subject=subject, linked_at=now))
    session.flush()


def loosen(session: Session, login: str) -> int:
    """Forget which subjects a user is held to; return how many there were."""
    whose = select(UserRow.id).where(UserRow.login == login).scalar_subquery()
    return session.execute(delete(IdentityRow).where(IdentityRow.user_pk == whose)).rowcount  # type: ignore[attr-defined]
