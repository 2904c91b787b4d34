"""The tables of ways in. Secrets are kept as SHA-256 alone: who reads the database can sign in with none of them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Float, ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from aris.store.columns import Json, Moment
from aris.store.schema import Base


class WebSessionRow(Base):
    """A browser that somebody has signed in with.

    `user_stamp` is the user's `changed_at` at sign-in: a change of password, role or activity ends the session.
    `method` is "password" or "oidc"; `proved_at` when the user last signed in anew at the provider, until it is used.
    """

    __tablename__ = "web_sessions"
    id: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    user_pk: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    user_stamp: Mapped[datetime] = mapped_column(Moment)
    method: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[datetime] = mapped_column(Moment)
    seen_at: Mapped[datetime] = mapped_column(Moment)
    expires_at: Mapped[datetime] = mapped_column(Moment, index=True)
    proved_at: Mapped[datetime | None] = mapped_column(Moment)


class ApiTokenRow(Base):
    """A key by which a program acts for a user, within its scopes."""

    __tablename__ = "api_tokens"
    id: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    user_pk: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    name: Mapped[str] = mapped_column(String(64))
    scopes: Mapped[Any] = mapped_column(Json)
    created_at: Mapped[datetime] = mapped_column(Moment)
    expires_at: Mapped[datetime | None] = mapped_column(Moment)
    last_used_at: Mapped[datetime | None] = mapped_column(Moment)
    revoked_at: Mapped[datetime | None] = mapped_column(Moment)


class IdentityRow(Base):
    """A user's identity at an OpenID provider, held to from the first sign-in: a name may be given away, this not."""

    __tablename__ = "identities"
    __table_args__ = (UniqueConstraint("issuer", "subject"), UniqueConstraint("user_pk", "issuer"))
    id: Mapped[int] = mapped_column(primary_key=True)
    user_pk: Mapped[int] = mapped_column(ForeignKey("users.id"))
    issuer: Mapped[str] = mapped_column(String(512))
    subject: Mapped[str] = mapped_column(String(256))
    linked_at: Mapped[datetime] = mapped_column(Moment)


class AttemptBucketRow(Base):
    """Attempts that are left of an address, or of all, at a moment; from then on the bucket fills up again."""

    __tablename__ = "attempt_buckets"
    name: Mapped[str] = mapped_column(String(80), primary_key=True)
    left: Mapped[float] = mapped_column(Float)
    at: Mapped[datetime] = mapped_column(Moment)


class PendingSignInRow(Base):
    """A sign-in under way at a provider, by the digest of the browser's secret."""

    __tablename__ = "pending_sign_ins"
    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    next: Mapped[str] = mapped_column(Text)
    redirect_uri: Mapped[str] = mapped_column(Text)
    session: Mapped[int | None] = mapped_column()
    login: Mapped[str] = mapped_column(String(64))
    began_at: Mapped[datetime] = mapped_column(Moment, index=True)


class PreferencesRow(Base):
    """A user's own preferences, as the pages keep them."""

    __tablename__ = "preferences"
    user_pk: Mapped[int] = mapped_column(ForeignKey("users.id"), primary_key=True)
    value: Mapped[Any] = mapped_column(Json)
    changed_at: Mapped[datetime] = mapped_column(Moment)


class SavedAnswerRow(Base):
    """A question to a library with its answer, as a user kept it."""

    __tablename__ = "saved_answers"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_pk: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    library: Mapped[str] = mapped_column(String(64))
    question: Mapped[str] = mapped_column(Text)
    answer: Mapped[Any] = mapped_column(Json)
    saved_at: Mapped[datetime] = mapped_column(Moment)
