"""Every setting, declared once: name, default, unit and help.

A field ``lake_url`` is the environment variable ``LAKE_URL``. ``Settings.load()`` reads the environment over a
``.env`` file beside ``app.py`` and names every fault at once. ``doctor``, the documentation and the deployed
functions' environment are all derived from these fields.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from pathlib import Path
from typing import Any

from chalicelib.checks import duration, number, one_of, size, spell_size, switch, whole
from chalicelib.clock import spell_duration
from chalicelib.errors import InvalidSetting

PROJECT = Path(__file__).resolve().parent.parent
COMMAND = ".venv/bin/lake"  # as a person types it in the project's folder
SANDBOX = PROJECT / ".sandbox"  # of `make run`: its secrets, and SANDBOX_ENVIRONMENT
SANDBOX_LAKE = PROJECT / "lake-sandbox"
SANDBOX_ENVIRONMENT = SANDBOX / "environment"  # settings, as in a .env file


def web_address(text: str) -> str:
    """An http or https address."""
    if not re.fullmatch(r"https?://[^\s/]+(/\S*)?", text):
        raise ValueError("must be an http or https address")
    return text.rstrip("/")


def lake_address(text: str) -> str:
    """A folder, or a place in a bucket."""
    if "://" in text and not re.fullmatch(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^\s]*)?", text):
        raise ValueError("must be a folder or s3://bucket[/prefix]")
    return folder(text.rstrip("/") or "/")


def bucket_and_prefix(lake_url: str) -> tuple[str, str]:
    """Of ``s3://bucket/some/path``: ``bucket`` and ``some/path/``. Both empty for a folder."""
    if not lake_url.startswith("s3://"):
        return "", ""
    bucket, _, path = lake_url.removeprefix("s3://").partition("/")
    return bucket, f"{path.strip('/')}/" if path.strip("/") else ""


def secrets_address(text: str) -> str:
    """What looks like a store's name and is none is refused: it would become a folder that git does not ignore."""
    if text.startswith(("secretsmanager:", "ssm:")):
        return text
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:", text):
        raise ValueError("must be a folder, secretsmanager:NAME or ssm:/NAME")
    return folder(text)


def folder(text: str) -> str:
    """``~`` is the home folder here too: no shell has put it in where the line stands in a ``.env`` file."""
    return str(Path.home() / text[2:]) if text == "~" or text.startswith("~/") else text


def origin(text: str) -> str:
    """As browsers send it: without a path, and without a slash at its end."""
    if not re.fullmatch(r"\*|https?://[^\s/]+/?", text):
        raise ValueError("must be an origin such as https://notebook.example, or *")
    return text.rstrip("/")


def contact(text: str) -> str:
    """Where whoever runs a service can reach whoever asks it: an address of mail, or of a page."""
    if not re.fullmatch(r"[^\s@()]+@[^\s@()]+\.[^\s@()]+|https?://[^\s/()]+(/[^\s()]*)?", text):
        raise ValueError("must be an e-mail address or the address of a page")
    return text


def schedule(text: str) -> str:
    """EventBridge's two forms; the cron fields themselves are checked when the schedule is read."""
    rate = re.fullmatch(r"rate\(([1-9]\d*) (minute|hour|day)(s?)\)", text)
    if rate:
        if (rate[1] == "1") != (rate[3] == ""):
            raise ValueError("EventBridge wants rate(1 hour) and rate(2 hours)")
        return text
    if re.fullmatch(r"cron\((\S+ ){5}\S+\)", text):
        return text
    raise ValueError("must be rate(N minutes|hours|days) or cron(minute hour day month weekday year)")


def setting(
    default: Any,
    help: str,
    parse: Callable[[str], Any] = str,
    *,
    write: Callable[[Any], str] = str,
    unit: str = "",
    secret: bool = False,
) -> Any:
    """A field of Settings: ``parse`` makes its value from what a person wrote, ``write`` the reverse."""
    return field(
        default=default, metadata={"help": help, "parse": parse, "write": write, "unit": unit, "secret": secret}
    )


@dataclass(frozen=True, slots=True)
class Settings:
    """The values in force. Build one with :meth:`load`; tests build one directly."""

    lake_url: str = setting(
        "./lake", "Where the lake lies: a folder, or s3://bucket[/prefix]; it picks the engine", lake_address
    )
    lake_readers: str = setting(
        "owner",
        "Who may read the files of a lake in a folder, beside what the umask forbids: owner, group or everyone",
        one_of("owner", "group", "everyone"),
    )
    spotify_mode: str = setting(
        "auto", "Which Spotify API the app sees; auto finds out", one_of("auto", "development", "extended")
    )
    spotipy_client_id: str = setting("", "Client id of your Spotify app")
    spotipy_client_secret: str = setting("", "Client secret of your Spotify app", secret=True)
    spotipy_redirect_uri: str = setting(
        "http://127.0.0.1:8888/callback",
        "Redirect URI registered with the app; loopback must be written 127.0.0.1",
        web_address,
    )
    spotify_api_url: str = setting("https://api.spotify.com/v1", "Spotify Web API", web_address)
    spotify_accounts_url: str = setting("https://accounts.spotify.com", "Spotify's token service", web_address)
    spotify_images_url: str = setting("https://i.scdn.co", "Spotify's image host", web_address)
    sources_file: str = setting(
        "", "What to extract, when not the app's own chalicelib/extraction/sources.toml", folder
    )
    secrets_url: str = setting(
        "./.secrets", "Where tokens are kept: a folder (mode 600), secretsmanager:NAME or ssm:/NAME", secrets_address
    )
    api_token: str = setting(
        "", "Bearer token of the API; locally one is made on first start when this is empty", secret=True
    )
    extract_schedule: str = setting("rate(1 hour)", "When extraction runs: an EventBridge rate or cron, UTC", schedule)
    calls_per_run: int = setting(300, "Most Spotify calls one run may make", whole(1, 1_000_000), unit="calls")
    run_seconds: float = setting(600.0, "Longest time a run may take outside Lambda", number(1, 86_400), unit="s")
    concurrency: int = setting(4, "Spotify calls under way at once", whole(1, 32), unit="calls")
    longest_wait: float = setting(
        5.0,
        "Longest Retry-After waited for in place; a longer one ends that endpoint group for the run",
        number(0, 60),
        unit="s",
    )
    call_timeout: float = setting(15.0, "Time limit of one Spotify call", number(0.1, 120), unit="s")
    checkpoint_answers: int = setting(
        250, "Answers journalled before they are packed into raw objects", whole(1, 100_000), unit="answers"
    )
    refresh_after: timedelta = setting(
        timedelta(days=30),
        "Age at which details of artists and albums are fetched again",
        duration,
        write=spell_duration,
    )
    compact_files: int = setting(
        24, "Files in one partition above which the schedule compacts it", whole(2, 10_000), unit="files"
    )
    musicbrainz_contact: str = setting(
        "",
        "Your e-mail address or page, which MusicBrainz asks of those who use it; once it is set, artists are looked "
        "up there and genres come from it (its tags: CC BY-NC-SA 3.0); empty: nothing is asked",
        contact,
    )
    musicbrainz_calls: int = setting(
        100, "Most calls to MusicBrainz and ListenBrainz one run may make, one a 1.1 s", whole(1, 10_000), unit="calls"
    )
    musicbrainz_url: str = setting("https://musicbrainz.org/ws/2", "MusicBrainz' web service", web_address)
    listenbrainz_url: str = setting("https://api.listenbrainz.org/1", "ListenBrainz' web service", web_address)
    keep_exports: bool = setting(True, "Keep the raw file of an imported privacy export in the lake", switch)
    query_seconds: float = setting(60.0, "Time limit of one query", number(0.1, 1_800), unit="s")
    query_rows: int = setting(5_000_000, "Most rows one query result keeps", whole(1, 1_000_000_000), unit="rows")
    query_bytes: int = setting(2_000_000_000, "Most bytes one query result keeps", whole(1_000, 10**12), unit="bytes")
    query_memory: int = setting(10**9, "Memory of the embedded engine", size, write=spell_size)
    query_slots: int = setting(3, "Queries the embedded engine runs at once", whole(1, 64), unit="queries")
    query_queue: int = setting(64, "Queries that may wait for a slot", whole(0, 10_000), unit="queries")
    query_reuse: float = setting(
        60.0,
        "Age up to which an identical query's result is reused while the data has not changed",
        number(0, 86_400),
        unit="s",
    )
    results_bytes: int = setting(
        10_000_000_000,
        "Most bytes that all kept query results take; the oldest go first",
        whole(1_000_000, 10**13),
        unit="bytes",
    )
    results_kept: float = setting(24.0, "Age at which query results expire", number(0.01, 720), unit="h")
    requests_per_minute: int = setting(1_200, "API requests allowed to one token", whole(1, 1_000_000), unit="requests")
    public_url: str = setting(
        "", "Address at which others reach the service through a proxy, such as https://lake.example", web_address
    )
    cors_origin: str = setting("", "Origin that may call the API from a browser; empty: none", origin)
    show_images: str = setting(
        "ask",
        "Whether the dashboard may load covers from Spotify's image host: true, false, or ask, which asks each browser "
        "once; copies that `lake images` keeps are shown either way",
        one_of("ask", "true", "false"),
    )
    athena_workgroup: str = setting("", "Athena workgroup of the lake")
    glue_database: str = setting("", "Glue database of the lake")
    glue_crawler: str = setting("", "Glue crawler of the lake")
    extract_function: str = setting("", "Lambda function that POST /runs invokes")
    transform_function: str = setting("", "Lambda function that replays raw objects")
    lake_stage: str = setting("", "Name under which the functions report metrics; empty: none")
    result_function: str = setting("", "Lambda function that turns a query's result into Parquet")
    log_level: str = setting("INFO", "Least severe log line written", one_of("DEBUG", "INFO", "WARNING", "ERROR"))

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None, env_file: Path | None = PROJECT / ".env") -> Settings:
        """Settings from ``environ`` (the process's own by default) over ``env_file``.

        Raises InvalidSetting naming every faulty setting at once.
        """
        values = {**read_env_file(env_file), **(os.environ if environ is None else environ)}
        parsed: dict[str, Any] = {}
        faults: list[str] = []
        for declared in fields(cls):
            text = values.get(declared.name.upper(), "").strip()
            if text == "":
                continue
            try:
                parsed[declared.name] = declared.metadata["parse"](text)
            except ValueError as error:
                shown = "***" if declared.metadata["secret"] else repr(text)
                faults.append(f"{declared.name.upper()}={shown} {error}")
        if faults:
            raise InvalidSetting("; ".join(faults), faults=faults)
        return cls(**parsed)

    @property
    def command(self) -> str:
        """What a person types before a command's name to be at this lake."""
        return f"{COMMAND} --sandbox" if Path(self.lake_url) == SANDBOX_LAKE else COMMAND

    @property
    def on_aws(self) -> bool:
        """Whether the lake is a bucket."""
        """Whether the lake lies in a bucket."""
        return self.lake_url.startswith("s3://")

    @property
    def bucket(self) -> str:
        """The lake's bucket; empty for a lake in a folder."""
        return bucket_and_prefix(self.lake_url)[0]

    @property
    def prefix(self) -> str:
        """What stands in the bucket before the lake's own keys: empty, or a path that ends in ``/``."""
        return bucket_and_prefix(self.lake_url)[1]

    def written(self, name: str) -> str:
        """The value of the setting ``name`` as a person, or an environment, writes it."""
        declared = next(each for each in fields(self) if each.name == name)
        text: str = declared.metadata["write"](getattr(self, name))
        return text

    def described(self) -> Iterator[tuple[str, str, str, str]]:
        """Name, value (secrets masked), unit and help of every setting, in the order of declaration."""
        for declared in fields(self):
            value = self.written(declared.name)
            shown = ("***" if value else "") if declared.metadata["secret"] else value
            yield declared.name.upper(), shown, declared.metadata["unit"], declared.metadata["help"]


def sandbox_environment() -> dict[str, str]:
    """The settings of the sandbox that `make run` made. Raises InvalidSetting when there is none."""
    if not SANDBOX_ENVIRONMENT.is_file():
        raise InvalidSetting("there is no sandbox yet: `make run`, without credentials, makes one")
    return read_env_file(SANDBOX_ENVIRONMENT)


def read_env_file(path: Path | None) -> dict[str, str]:
    """The assignments of a ``.env`` file; none where there is no file (a deployed function has none).

    Raises InvalidSetting when it cannot be read.
    """
    if path is None or not path.is_file():
        return {}
    from dotenv import dotenv_values

    try:
        found = dotenv_values(path)
    except UnicodeDecodeError:
        raise InvalidSetting(f"{path} is not text in UTF-8: save it as that") from None
    except OSError as error:
        raise InvalidSetting(f"{path} cannot be read: {error.strerror}") from error
    return {name: value for name, value in found.items() if value is not None}
