"""Privacy exports: ``python -m sandbox.export OUT_DIR`` writes every known variant, and what is true about them.

The streams are those of a listener of the sandbox, so the exports overlap each other and recently-played just as
real ones do. ``truth.json`` says how many listens there are, ``listens.jsonl`` which.
"""

from __future__ import annotations

import argparse
import json
import sys
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sandbox.clock import DAY, Clock, instant, moment_of, to_seconds
from sandbox.dice import Dice
from sandbox.history import History, Listen, Row
from sandbox.listening import Stream
from sandbox.scales import SCALES
from sandbox.world import World

ROWS_PER_FILE = 16_000  # rows of an extended file; account data has 10,000
ACCOUNT_ROWS_PER_FILE = 10_000
FORMS = ("zip", "folder", "files")
PERSONAL = "personal-data-not-for-tables"
"""Stands in every file of an export that is none of an importer's business."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One shape of export."""

    name: str
    era: str
    downloaded: str | None
    """When, or None for now."""
    folder: str
    account: bool = False

    def covers(self, stream: Stream) -> bool:
        """Exports before 2025 and unsplit account data know nothing of audiobooks."""
        return stream.kind != "audiobook" or self.era >= "2025" or (self.account and self.era >= "2024")


VARIANTS: dict[str, Variant] = {
    variant.name: variant
    for variant in (
        Variant("endsong-2020", "2020", "2020-12-10", "endsong"),
        Variant("endsong-2022", "2021", "2022-07-01", "MyData"),
        Variant("mixed-2023", "2023", "2023-07-15", "MyData"),
        Variant("extended-2023-12", "2023", "2023-12-20", "Spotify Extended Streaming History"),
        Variant("extended-2024-11", "2024", "2024-11-25", "Spotify Extended Streaming History"),
        Variant("extended-2025", "2025", None, "Spotify Extended Streaming History"),
        Variant("account-2022", "2021", "2022-07-01", "MyData", account=True),
        Variant("account-2024", "2024", None, "Spotify Account Data", account=True),
    )
}


@dataclass(frozen=True, slots=True)
class Export:
    """An export that has been written, and the truth it holds."""

    variant: str
    path: Path
    since: int
    until: int
    rows: int
    """Rows in the files, repeated ones included."""
    listens: list[Listen]

    @property
    def summary(self) -> dict[str, Any]:
        """What ``truth.json`` says of it."""
        kinds = Counter(listen.kind for listen in self.listens)
        return {
            "path": self.path.name,
            "since": to_seconds(self.since),
            "until": to_seconds(self.until),
            "rows": self.rows,
            **_totals(self.listens),
            "by_kind": dict(sorted(kinds.items())),
        }


def write(
    out: Path,
    world: World,
    variant: str = "extended-2025",
    form: str = "zip",
    user_id: str | None = None,
    since: str | int | None = None,
    until: str | int | None = None,
    rows_per_file: int | None = None,
    traps: bool = True,
) -> Export:
    """Write one export into a directory.

    ``form`` is ``zip``, ``folder`` (the zip unpacked) or ``files`` (history files alone, no folders).
    ``since`` and ``until`` (ISO 8601 or milliseconds) narrow it down; ``traps`` adds what real exports do to
    importers: repeated boundary rows, a byte-order mark, an empty array, an empty file, personal files.
    A ValueError says what is not known.
    """
    if variant not in VARIANTS or form not in FORMS:
        raise ValueError(f"variants are {', '.join(VARIANTS)}; forms are {', '.join(FORMS)}")
    listener = world.listener(user_id)
    if listener is None:
        raise ValueError(f"no such user: {user_id!r}")
    chosen = VARIANTS[variant]
    first, last = _period(chosen, world, since, until)
    with world.lock:
        streams = [stream for stream in listener.listening.streams(first, last) if chosen.covers(stream)]
        history = History(world.catalogue, listener)
        files = dict(_files(chosen, history, streams, rows_per_file, traps))
        listens = [history.listen(stream) for stream in streams]
    rows = sum(len(content) for content in files.values() if isinstance(content, list))
    path = _write_files(out, chosen, form, files)
    return Export(variant, path, first, last, rows, listens)


def write_all(
    out: Path, world: World, variants: Sequence[str] = tuple(VARIANTS), form: str = "zip", **settings: Any
) -> list[Export]:
    """Write several exports and, beside them, ``truth.json`` and ``listens.jsonl`` of all together."""
    exports = [write(out, world, variant, form, **settings) for variant in variants]
    listens = true_listens(exports)
    truth = {
        "seed": world.seed,
        "scale": world.scale.name,
        "all": {**_totals(listens), "by_kind": dict(sorted(Counter(one.kind for one in listens).items()))},
        "exports": {export.variant: export.summary for export in exports},
    }
    (out / "truth.json").write_text(json.dumps(truth, indent=1), encoding="utf-8")
    with (out / "listens.jsonl").open("w", encoding="utf-8") as lines:
        lines.writelines(json.dumps(asdict(listen), ensure_ascii=False) + "\n" for listen in listens)
    return exports


def true_listens(exports: Iterable[Export]) -> list[Listen]:
    """Each listen of several exports once, oldest first."""
    listens = {listen for export in exports for listen in export.listens}
    return sorted(listens, key=lambda listen: (listen.ts, listen.uri or "", listen.ms_played))


def _totals(listens: Sequence[Listen]) -> dict[str, int]:
    return {"listens": len(listens), "ms_played": sum(listen.ms_played for listen in listens)}


def _period(variant: Variant, world: World, since: str | int | None, until: str | int | None) -> tuple[int, int]:
    last = world.clock.now_ms()
    if variant.downloaded is not None:
        last = min(last, instant(variant.downloaded))
    first = last - 365 * DAY if variant.account else instant(world.scale.member_since)
    if since is not None:
        first = max(first, instant(since) if isinstance(since, str) else since)
    if until is not None:
        last = min(last, instant(until) if isinstance(until, str) else until)
    return max(first, instant(world.scale.member_since)), last


# Files

Files = Iterator[tuple[str, list[Row] | bytes]]


def _files(variant: Variant, history: History, streams: list[Stream], rows: int | None, traps: bool) -> Files:
    """Names and contents: rows for history files, bytes for anything else."""
    if variant.account:
        yield from _account_files(variant, history, streams, rows or ACCOUNT_ROWS_PER_FILE)
    else:
        yield from _extended_files(variant, history, streams, rows or ROWS_PER_FILE, traps)
    if traps:
        yield from _bystanders(variant, history.listener.id)


def _extended_files(variant: Variant, history: History, streams: list[Stream], rows: int, traps: bool) -> Files:
    audio = [stream for stream in streams if not stream.video]
    video = [stream for stream in streams if stream.video]
    if variant.era < "2023":
        yield from _endsong_files(variant, history, audio, rows, traps)
        yield "endvideo.json", [history.extended_row(stream, variant.era) for stream in video]
        return
    if variant.name.startswith("mixed"):
        older = len(audio) // 2
        yield from _endsong_files(variant, history, audio[:older], rows, traps)
        audio = audio[older:]
    yield from _named_by_year("Audio", variant, history, audio, rows, traps)
    yield from _named_by_year("Video", variant, history, video, rows, traps)


def _endsong_files(variant: Variant, history: History, streams: list[Stream], rows: int, traps: bool) -> Files:
    """``endsong_0.json`` …: in no order at all."""
    shuffled = sorted(streams, key=lambda stream: Dice("shuffle", stream.ended_ms, stream.number).unit())
    for number, part in enumerate(_parts(shuffled, rows, traps)):
        yield f"endsong_{number}.json", [history.extended_row(stream, variant.era) for stream in part]


def _named_by_year(
    kind: str, variant: Variant, history: History, streams: list[Stream], rows: int, traps: bool
) -> Files:
    """``Streaming_History_Audio_2021-2022_0.json`` …; a single file has no number."""
    parts = list(_parts(streams, rows, traps))
    for number, part in enumerate(parts):
        first, last = moment_of(part[0].exported_ms).year, moment_of(part[-1].exported_ms).year
        years = f"{first}" if first == last else f"{first}-{last}"
        suffix = f"_{number}" if len(parts) > 1 else ""
        made = [history.extended_row(stream, variant.era) for stream in part]
        yield f"Streaming_History_{kind}_{years}{suffix}.json", made


def _parts(streams: list[Stream], rows: int, repeat: bool) -> Iterator[list[Stream]]:
    """Files' worth of streams; with ``repeat`` each starts with the last of the one before."""
    for start in range(0, len(streams), rows):
        yield streams[max(0, start - (1 if repeat else 0)) : start + rows]


def _account_files(variant: Variant, history: History, streams: list[Stream], rows: int) -> Files:
    split = variant.era >= "2024"
    groups: dict[str, list[Row]] = {}
    for stream in streams:
        group = {"episode": "podcast", "audiobook": "audiobook"}.get(stream.kind, "music") if split else ""
        groups.setdefault(group, []).append(history.account_row(stream, split))
    for group, made in groups.items():
        for number, start in enumerate(range(0, len(made), rows)):
            name = f"StreamingHistory_{group}_{number}.json" if split else f"StreamingHistory{number}.json"
            yield name, made[start : start + rows]


def _bystanders(variant: Variant, owner: str) -> Files:
    """What lies beside the history, and histories with nothing in them."""
    personal = {"note": PERSONAL, "street": "1 Example Road"}
    if variant.account:
        yield "Userdata.json", json.dumps({"username": owner, **personal}).encode()
        for name in ("Payments", "Identity", "Inferences", "SearchQueries", "YourLibrary", "Playlist1"):
            yield f"{name}.json", json.dumps(personal).encode()
        yield "Read Me First.pdf", b"%PDF-1.4\n% " + PERSONAL.encode() + b"\n"
        return
    yield "ReadMeFirst_ExtendedStreamingHistory.pdf", b"%PDF-1.4\n% " + PERSONAL.encode() + b"\n"
    if variant.era >= "2023":
        yield "Streaming_History_Video_2015.json", b"[]"
        yield "Streaming_History_Audio_2015.json", b""


def _write_files(out: Path, variant: Variant, form: str, files: dict[str, list[Row] | bytes]) -> Path:
    out.mkdir(parents=True, exist_ok=True)
    contents = _encoded(files)
    if form == "zip":
        path = out / f"{variant.name}.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in contents:
                entry = zipfile.ZipInfo(f"{variant.folder}/{name}", (2026, 1, 1, 0, 0, 0))
                entry.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(entry, content)
        return path
    path = out / variant.name
    inner = path / variant.folder if form == "folder" else path
    inner.mkdir(parents=True, exist_ok=True)
    for name, content in contents:
        if form == "folder" or isinstance(files[name], list):
            (inner / name).write_bytes(content)
    return path


def _encoded(files: dict[str, list[Row] | bytes]) -> Iterator[tuple[str, bytes]]:
    """The bytes of each file; the first with rows starts with a byte-order mark if there are bystanders."""
    mark = any(isinstance(content, bytes) for content in files.values())
    for name, content in files.items():
        if isinstance(content, bytes):
            yield name, content
            continue
        text = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
        yield name, b"\xef\xbb\xbf" + text if mark and content else text
        mark = mark and not content


def main(arguments: list[str] | None = None) -> int:
    """The command; answers its exit status."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.export", description="Write privacy exports.")
    parser.add_argument("out", type=Path, metavar="OUT_DIR")
    parser.add_argument("--variant", action="append", choices=tuple(VARIANTS), help="repeatable; default: all")
    parser.add_argument("--form", choices=FORMS, default="zip", help="how to write them (default zip)")
    parser.add_argument("--seed", type=int, default=1, help="which world (default 1)")
    parser.add_argument("--scale", choices=tuple(SCALES), default="small", help="how big a world")
    parser.add_argument("--now", help="when they are downloaded, ISO 8601 (default: the present)")
    parser.add_argument("--user-id", help="whose (default: the first listener's)")
    parser.add_argument("--since", help="leave out what is earlier, ISO 8601")
    parser.add_argument("--until", help="leave out what is later, ISO 8601")
    parser.add_argument("--rows-per-file", type=int, help="default 16000, account data 10000")
    chosen = parser.parse_args(arguments)
    try:
        clock = Clock(None if chosen.now is None else instant(chosen.now), frozen=True)
        exports = write_all(
            chosen.out,
            World(chosen.seed, chosen.scale, clock),
            chosen.variant or tuple(VARIANTS),
            chosen.form,
            user_id=chosen.user_id,
            since=chosen.since,
            until=chosen.until,
            rows_per_file=chosen.rows_per_file,
        )
    except (OSError, ValueError) as error:
        print(f"sandbox.export: {error}", file=sys.stderr)
        return 1
    for export in exports:
        print(f"{export.path}: {len(export.listens)} listens in {export.rows} rows")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
