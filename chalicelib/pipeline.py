"""Raw objects to answers, step after step: what events, commands and the schedule have in common.

A step that was interrupted is found again by :func:`unhandled` and done by :func:`catch_up`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from chalicelib.dropped import unimported
from chalicelib.lake import Lake

if TYPE_CHECKING:
    from chalicelib.settings import Settings
    from chalicelib.transform import TransformReport

Progress = Callable[[int, int, str], None]  # done, of how many, the one at hand


def transform_key(lake: Lake, key: str, *, again: bool = False) -> TransformReport:
    """Turn one raw object into rows, and decide which listens its plays are."""
    from chalicelib.plays import resolve_keys
    from chalicelib.transform import transform_object

    report = transform_object(lake, key, again=again)
    resolve_keys(lake, report.files)
    return report


def catch_up(lake: Lake, settings: Settings, progress: Progress | None = None) -> int:
    """Do what was left lying; answers how many raw objects that were."""
    from chalicelib.plays import resolve_keys
    from chalicelib.transform import transform_pending

    reports = transform_pending(lake, progress)
    resolve_keys(lake, [name for report in reports for name in report.files])
    exports = list(unimported(lake))
    for key in exports:
        import_key(lake, settings, key)
    return len(reports) + len(exports)


def rebuild(lake: Lake, settings: Settings, publish: Callable[[str], None], **options: Any) -> str:
    """Build every table anew from raw, beside those in force, and ``publish`` them; answers the generation."""
    from chalicelib import transform
    from chalicelib.plays import resolve

    def with_exports(generation: str) -> None:
        from chalicelib.history import rebuild

        rebuild(lake.in_generation(generation))
        publish(generation)

    generation = transform.rebuild(lake, with_exports, **options)
    resolve(lake)
    return generation


def import_key(lake: Lake, settings: Settings, key: str) -> Any:
    """Import one privacy export of the raw zone."""
    from chalicelib.history import import_export

    return import_export(lake, settings, key)


def unhandled(lake: Lake) -> Iterator[str]:
    """Keys of raw objects whose event was never handled, answers first."""
    from chalicelib.transform import pending

    yield from pending(lake)
    yield from unimported(lake)
