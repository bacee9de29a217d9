"""Commands about listeners: who there is, what they are called, and which of them are one person."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from chalicelib.commands.layout import print_table
from chalicelib.errors import NotFound

if TYPE_CHECKING:
    from chalicelib.commands.cli import Shared
    from chalicelib.listeners import KnownListeners, Person
    from chalicelib.spotify.auth import Login
    from chalicelib.wiring import Parts


@click.group()
def listeners() -> None:
    """Whose lake it is: list the listeners, name them, say which of them are one person."""


@listeners.command("list")
@click.pass_obj
def list_listeners(shared: Shared) -> None:
    """List every listener, with all ids that mean them and the end of their authorisation."""
    from chalicelib.listeners import everybody

    rows = [
        (
            each.name,
            each.user_id,
            ", ".join(each.ids[1:]) or "-",
            (each.known_since or "-")[:10],
            (each.authorization_ends_at or "-")[:10],
        )
        for each in everybody(shared.parts.lake).people()
    ]
    print_table(("name", "user_id", "also known as", "since", "authorised until"), rows)


@listeners.command("rename")
@click.argument("listener")
@click.argument("name")
@click.pass_obj
def rename_listener(shared: Shared, listener: str, name: str) -> None:
    """Call LISTENER (a name or an id) NAME from now on."""
    from chalicelib.listeners import rename

    person, key = rename(shared.parts.lake, listener, name)
    take_in(shared.parts, key)
    click.echo(f"{person.user_id} is called {person.name}")


@listeners.command("merge")
@click.argument("listener")
@click.argument("into")
@click.pass_obj
def merge_listeners(shared: Shared, listener: str, into: str) -> None:
    """Say that LISTENER and INTO are one person: plays that both tell of then count once."""
    from chalicelib.listeners import merge

    merge_and_say(shared.parts, *merge(shared.parts.lake, listener, into), listener)


@listeners.command("split")
@click.argument("listener")
@click.pass_obj
def split_listener(shared: Shared, listener: str) -> None:
    """Take back the last merge of LISTENER (the id that was merged)."""
    from chalicelib.listeners import split

    person, key = split(shared.parts.lake, listener)
    take_in(shared.parts, key)
    click.echo(f"{person.label} is a listener again")


@listeners.command("log-out")
@click.argument("listener")
@click.pass_obj
def log_listener_out(shared: Shared, listener: str) -> None:
    """Forget LISTENER's authorisation: nothing more is asked of Spotify for them, and what was heard stays."""
    from chalicelib.listeners import everybody, note_logout
    from chalicelib.spotify.auth import log_out

    parts = shared.parts
    person = everybody(parts.lake).get(listener)
    if not log_out(parts.secrets, person.ids):
        raise NotFound(f"{person.label} is not logged in", listener=person.user_id)
    take_in(parts, note_logout(parts.lake, person.user_id))
    click.echo(f"{person.label} is logged out; `{parts.settings.command} login` or an invitation logs in again")


def merge_and_say(parts: Parts, person: Person, key: str, listener: str) -> None:
    """Take a merge into the tables and say how it is undone."""
    take_in(parts, key)
    first = note_of(parts, key)
    click.echo(
        f"{listener} and {person.label} are one listener: {', '.join(person.ids)}; "
        f"`{parts.settings.command} listeners split {quoted(first)}` takes it back"
    )


def note_of(parts: Parts, key: str) -> str:
    """The id that a merge was about."""
    from chalicelib.listeners import read_note

    return read_note(parts.lake, key).ids[0]


def take_in(parts: Parts, key: str) -> None:
    """Take a note about a listener into the tables at once; on AWS its event does."""
    from chalicelib import pipeline

    if not parts.settings.on_aws:
        parts.register(pipeline.transform_key(parts.lake, key).files)


# --- logging in ---------------------------------------------------------------------------------------------------


def note_who_logged_in(parts: Parts, login: Login) -> None:
    """Note whose login it was, and say so."""
    from chalicelib.listeners import everybody, note_login

    take_in(parts, note_login(parts.lake, login.user_id, login.authorized_at, login.ends_at, login.profile))
    known = everybody(parts.lake)
    person = known.person(known.listener_of(login.user_id))
    click.echo(f"{person.label} is logged in until {login.ends_at:%Y-%m-%d}")
    offer_to_merge(parts, known, person)


def offer_to_merge(parts: Parts, known: KnownListeners, person: Person) -> None:
    """Ask whether a listener who is known from imports alone is who has logged in; without a terminal, say how."""
    from chalicelib.listeners import merge

    for other in known.perhaps(person):
        question = f"The lake has imports of {other.label}. Is that the same person as {person.label}?"
        if sys.stdin.isatty():
            if click.confirm(question, default=False):
                merge_and_say(parts, *merge(parts.lake, other.user_id, person.user_id), other.name)
        else:
            command = f"{parts.settings.command} listeners merge {quoted(other.user_id)} {quoted(person.user_id)}"
            click.echo(f"{question} Then: `{command}`")


def quoted(text: str) -> str:
    """A word for a shell."""
    import shlex

    return shlex.quote(text)


def ask_whose(known: list[str], owner: str, parts: Parts) -> str:
    """Whose export it is, asked in a terminal: a listener of a list by number, or a new name."""
    from chalicelib.listeners import everybody

    there = everybody(parts.lake)
    people = [there.person(each) for each in known]
    for number, person in enumerate(people, 1):
        click.echo(f"  {number}  {person.label}")
    answer: str = click.prompt(
        "Whose listening is it? A number, or the name of somebody new" if people else "Whose listening is it? A name",
        default=owner or None,
    )
    chosen = int(answer) if answer.isdecimal() else 0
    return people[chosen - 1].user_id if 1 <= chosen <= len(people) else answer
