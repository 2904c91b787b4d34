"""`aris users`: who may read, sign and look after the system."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from aris.cli.groups import with_groups
from aris.cli.outcome import Group
from aris.cli.reading import house as place
from aris.cli.terminal import note, one_line, write, write_json

if TYPE_CHECKING:
    from aris.store.reading.users import User

app = typer.Typer(
    name="users",
    cls=Group,
    help="Users, their roles and passwords.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_TERMINAL = "(terminal)"


@app.command()
@with_groups
def add(
    login: Annotated[str, typer.Argument(help="Small letters, digits and . _ @ -.")],
    role: Annotated[str, typer.Option(help="reader (signs), viewer (looks), admin (looks after it), admin+reader.")],
    where: place.TrailOptions,
    name: Annotated[str, typer.Option(help="A DICOM person name, as it signs: Family^Given^Middle^Prefix.")] = "",
    organization: Annotated[str, typer.Option(help="On whose behalf a reader signs.")] = "",
    identifier: Annotated[str, typer.Option(help="Within the organization; may be left out.")] = "",
    password_stdin: place.PasswordOption = False,
    json: place.JsonOption = False,
) -> None:
    """Make a user; the password is asked for (15 characters at least).

    Example:

        aris users add ana --role reader --name 'Müller^Ana^^Dr' \\
            --organization 'St. Élan'
    """
    with where.house() as found:
        from aris.store.reading import users

        word = place.password(stdin=password_stdin, twice=True)

        def work(session: object) -> User:
            from sqlalchemy.orm import Session

            assert isinstance(session, Session)
            made = users.add(session, login, word, role=role, name=name, organization=organization,
                             identifier=identifier, now=datetime.now(UTC))  # fmt: skip
            found.trail.add(session, _TERMINAL, "add user", login, role=role)
            return made

        _show(found.store.sessions.write(work), json=json)


@app.command(name="list")
@with_groups
def list_users(
    where: place.StoreOptions,
    json: place.JsonOption = False,
) -> None:
    """List the users."""
    with where.open() as found:
        from aris.store.reading import users

        with found.sessions.reading() as session:
            known = users.all_of(session)
    for each in known:
        _show(each, json=json)
    if not known:
        note("there is no user; make one with `aris users add`")


@app.command()
@with_groups
def change(
    login: Annotated[str, typer.Argument(help="Whose.")],
    where: place.TrailOptions,
    role: Annotated[str | None, typer.Option(help="reader, viewer, admin or admin+reader.")] = None,
    active: Annotated[bool | None, typer.Option("--active/--inactive", help="Whether the user may act.")] = None,
    password: Annotated[bool, typer.Option("--password", help="Ask for a new password.")] = False,
    password_stdin: place.PasswordOption = False,
    forget_oidc: Annotated[
        bool, typer.Option("--forget-oidc", help="Let the next sign-in at the OpenID provider name the account anew.")
    ] = False,
    json: place.JsonOption = False,
) -> None:
    """Change a user's role or password, or whether he may still act. A user who signed is never removed.

    Whoever is changed is signed out of the workspace everywhere. Who is made inactive loses his API tokens too.

    Example:

        aris users change ana --inactive
    """
    with where.house() as found:
        from aris.store.reading import users
        from aris.store.reading.access import identities, tokens

        word = place.password(stdin=password_stdin, twice=True) if password or password_stdin else None

        def work(session: object) -> User:
            from sqlalchemy.orm import Session

            assert isinstance(session, Session)
            now = datetime.now(UTC)
            made = users.change(session, login, now, password=word, role=role, active=active)
            if active is False:
                tokens.revoke_all(session, login, now)
            forgotten = identities.loosen(session, login) if forget_oidc else None
            found.trail.add(session, _TERMINAL, "change user", login, role=role, active=active,
                            password=word is not None, identities=forgotten)  # fmt: skip
            return made

        _show(found.store.sessions.write(work), json=json)


def _show(user: User, *, json: bool) -> None:
    if json:
        write_json(user.__dict__)
        return
    state = "" if user.active else "  inactive"
    write(f"{one_line(user.login):16}  {user.role:12}  {one_line(user.name)}  {one_line(user.organization)}{state}\n")
