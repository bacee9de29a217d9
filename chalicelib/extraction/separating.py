"""What earlier releases kept in one state for all listeners becomes a state of each, once.

``state/extraction.json``, and what a dead run of such a release left in its one journal, are read under that release's
own lock; each state is written unless it is there, the app's last, and then the old one is deleted. Broken off
anywhere, the next run does the same again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from chalicelib.clock import Clock
from chalicelib.errors import WriteConflict
from chalicelib.extraction.journal import FOR_ALL, segments
from chalicelib.extraction.keeping import take_over
from chalicelib.extraction.library_readers import playlist_listing
from chalicelib.extraction.lock import RunLock
from chalicelib.extraction.state import STATE_FILE, State, StateFile, state_key
from chalicelib.lake import STATE, Lake

OLD_STATE = f"{STATE}extraction.json"


def separate(lake: Lake, run_id: str, clock: Clock, listeners: Iterable[str]) -> None:
    """Give each listener, those named and those that the old state knows, and the app a state of its own.

    Does nothing where no earlier release has left anything. Raises RunInProgress while a run of one goes on.
    """
    if not lake.store.stat(OLD_STATE) and (
        lake.store.stat(state_key(None)) or not any(each.name == FOR_ALL for each in segments(lake.store))
    ):
        return
    lock = RunLock.acquire(lake, run_id, clock, FOR_ALL)
    try:
        state, etag = STATE_FILE.read_version(lake.store, OLD_STATE)
        old = OldStateFile(lake, state or State(), etag)
        for segment in segments(lake.store):
            if segment.name == FOR_ALL:
                take_over(lake, old, segment)
        names = {*listeners, *known_listeners(old.state)}
        for user in sorted(names):
            write_unless_there(lake, of_listener(old.state, user))
        write_unless_there(lake, of_app(old.state, names))
        lake.store.delete([OLD_STATE])
    finally:
        lock.release()


class OldStateFile(StateFile):
    """The one state that earlier releases had."""

    __slots__ = ()

    @property
    def key(self) -> str:
        return OLD_STATE


def write_unless_there(lake: Lake, state: State) -> None:
    """Write a state where there is none yet."""
    try:
        STATE_FILE.replace(lake.store, state_key(state.whose), state, if_match=None)
    except WriteConflict:
        return


def known_listeners(state: State) -> set[str]:
    """Whom the old state knows something of."""
    listed = {playlist.user for playlist in state.playlists.values() if playlist.user}
    return {*state.plays, *state.followed, *listed}


def of_listener(state: State, user: str) -> State:
    """What the old state says of one listener. Whether that one was told to wait is not known: all were."""
    playlists = {id_: each for id_, each in state.playlists.items() if each.user == user}
    own = {playlist_listing(id_) for id_ in playlists}
    return State(
        whose=user,
        mode=state.mode,
        waits={group: replace(wait, whole_app=True) for group, wait in state.waits.items()},
        removed=dict(state.removed),
        done={key: at for key, at in state.done.items() if key.endswith(f"|{user}")},
        walks={key: walk for key, walk in state.walks.items() if key in own or key.endswith(f":{user}")},
        known={key: known for key, known in state.known.items() if key in own or key.endswith(f":{user}")},
        doubts={key: doubt for key, doubt in state.doubts.items() if key in own or key.endswith(f":{user}")},
        plays={user: state.plays[user]} if user in state.plays else {},
        playlists=playlists,
        followed={user: state.followed[user]} if user in state.followed else {},
        limits=dict(state.limits),
    )


def of_app(state: State, listeners: Iterable[str]) -> State:
    """What the old state says of the catalogue and of the app."""
    apart = [of_listener(state, user) for user in listeners]
    gone = {key for each in apart for part in (each.done, each.walks, each.known, each.doubts) for key in part}
    return replace(
        state,
        version=State().version,
        waits={group: replace(wait, whole_app=True) for group, wait in state.waits.items()},
        done={key: at for key, at in state.done.items() if key not in gone},
        walks={key: walk for key, walk in state.walks.items() if key not in gone},
        known={key: known for key, known in state.known.items() if key not in gone},
        doubts={key: doubt for key, doubt in state.doubts.items() if key not in gone},
        plays={},
        playlists={id_: each for id_, each in state.playlists.items() if each.user is None},
    )
