"""No statement and no file takes more time, memory or disk than it may, and nobody but who sent it notices."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from itertools import islice
from pathlib import Path

import pytest

from chalicelib.clock import now
from chalicelib.errors import NotFound, QueryFailed, QueryRefused
from chalicelib.lake import Lake
from chalicelib.queries.embedded.book import QueryBook, QueryRecord
from chalicelib.queries.embedded.engine import MOST_LOOKED, EmbeddedEngine
from chalicelib.queries.embedded.nursery import NAME, Child, Nursery
from chalicelib.queries.embedded.process import Process, ProcessEnded, held_bytes
from chalicelib.queries.embedded.results import PAGE_VALUES
from chalicelib.queries.embedded.space import Space, results
from chalicelib.queries.embedded.tasks import Judge, Start
from chalicelib.queries.engine import QueryState
from chalicelib.settings import Settings
from chalicelib.stores import open_lake
from tests.support.engines import Opened, embedded, fill
from tests.support.killers import KILLERS

ENDLESS = KILLERS["a product of three"]
SAMPLE = ("flatten of repeat", "concat in a lambda", "long rows without end", "arrays within arrays")
TOO_WIDE = "SELECT rpad('', 10000, 'a') AS a FROM UNNEST(sequence(1, 10000)) AS s(x), UNNEST(sequence(1, 2)) AS t(y)"
AROUND = 1_000_000_000  # bytes that all processes together may hold beside QUERY_MEMORY for each slot


def processes_of(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in path.read_text().split():
            found += processes_of(int(child))
    return found


def workers() -> list[int]:
    """The processes of engines that this process began and that still live."""
    found = []
    for pid in processes_of(os.getpid())[1:]:
        with suppress(OSError):
            name, alive = Path(f"/proc/{pid}/comm").read_text(), Path(f"/proc/{pid}/cmdline").read_bytes()
            if alive and (name.strip() == NAME or b"embedded.worker" in alive):
                found.append(pid)
    return found


def held() -> int:
    return sum(held_bytes(each) for each in workers())


class Watched:
    """The most memory and the most disk that an engine takes while it is watched."""

    def __init__(self, opened: Opened) -> None:
        self._results = Path(opened.lake.store.location("results/"))
        self._stop = threading.Event()
        self.memory = self.disk = 0
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Watched:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._look_once()

    def _look(self) -> None:
        while not self._stop.wait(0.02):
            self._look_once()

    def _look_once(self) -> None:
        self.memory = max(self.memory, held())
        self.disk = max(self.disk, disk(self._results))


def disk(folder: Path) -> int:
    total = 0
    for path in folder.glob("2*/*"):
        try:
            total += path.stat().st_size if path.suffix in (".parquet", ".csv") else 0
        except FileNotFoundError:
            continue
    return total


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    with embedded(tmp_path, query_memory=200_000_000, query_seconds=3.0) as made:
        fill(made)
        yield made


def kill(opened: Opened, name: str) -> None:
    """Let a killer run to its end; it must have one, whatever it is, and somebody else is answered meanwhile."""
    try:
        query = opened.engine.start_query(KILLERS[name], client="killer")
    except QueryRefused:
        return
    other = opened.engine.wait(opened.engine.start_query("SELECT 1", client="other").query_id, 60)
    assert other.state == QueryState.SUCCEEDED, name
    ended = opened.engine.wait(query.query_id, 60)
    assert ended.state.ended, name


@pytest.mark.parametrize("name", SAMPLE)
def test_a_killer_ends_and_nobody_else_notices(tmp_path: Path, name: str) -> None:
    bounds = {"query_memory": 200_000_000, "query_bytes": 20_000_000, "results_bytes": 30_000_000}
    with embedded(tmp_path, query_seconds=2.0, **bounds) as opened:
        fill(opened)
        with Watched(opened) as watched:
            kill(opened, name)
            assert opened.ask("SELECT count(*) FROM plays") == [(3,)]
    assert watched.memory < AROUND + 3 * 200_000_000
    assert watched.disk <= 30_000_000


@pytest.mark.soak
@pytest.mark.timeout(3000)
def test_forty_killers_one_after_another(tmp_path: Path) -> None:
    bounds = {"query_memory": 300_000_000, "query_bytes": 20_000_000, "results_bytes": 50_000_000}
    assert len(KILLERS) >= 40
    with embedded(tmp_path, query_seconds=2.0, **bounds) as opened:
        fill(opened)
        opened.engine.warm_up(["plays"])  # type: ignore[attr-defined]
        opened.ask("SELECT count(*) FROM plays")
        with Watched(opened) as watched:
            for name in KILLERS:
                kill(opened, name)
        print(f"most memory {watched.memory:,} bytes, most disk {watched.disk:,} bytes")
    assert watched.memory < AROUND + 3 * 300_000_000
    assert watched.disk <= 50_000_000


def stopped(opened: Opened) -> str:
    """A query whose process heeds nothing but the one signal that cannot be caught."""
    query = opened.engine.start_query(ENDLESS)
    while opened.engine.query(query.query_id).state == QueryState.QUEUED:
        time.sleep(0.01)
    for pid in workers():
        os.kill(pid, signal.SIGSTOP)
    return query.query_id


def test_a_query_that_heeds_no_interrupt_is_ended_when_it_is_cancelled(tmp_path: Path) -> None:
    with embedded(tmp_path, query_slots=1, query_seconds=60.0) as opened:
        query_id = stopped(opened)
        assert opened.engine.cancel(query_id).state == QueryState.CANCELLED


@pytest.mark.thorough
def test_a_query_that_heeds_no_interrupt_is_ended_when_its_time_is_over(tmp_path: Path) -> None:
    with embedded(tmp_path, query_slots=1, query_seconds=2.0) as opened:
        query = opened.engine.wait(stopped(opened), 30)
        assert query.error is not None and "QUERY_SECONDS allows (2 s)" in query.error["message"]


def test_what_does_not_fit_in_memory_fails_alone(opened: Opened) -> None:
    query = opened.done(
        "SELECT cardinality(transform(sequence(1, 10000), v -> replace(t, 'a', 'bbbbbbbbbb')))"
        " FROM (SELECT array_join(repeat(rpad('', 10000, 'a'), 90), '') AS t)"
    )
    assert query.error is not None
    assert any(word in query.error["message"] for word in ("QUERY_MEMORY", "QUERY_SECONDS"))
    assert opened.ask("SELECT 1") == [(1,)]


def test_a_process_ends_with_its_engine_and_when_it_is_killed() -> None:
    process = Process(Start(Settings(), ("chalicelib.queries.sql",), 100_000_000)).ready()
    (pid,) = workers()
    os.kill(pid, 9)
    with pytest.raises(ProcessEnded):
        process.call(Judge("SELECT 1", ()))
    assert process.worn
    process.close()
    assert workers() == []


def test_a_nursery_that_was_killed_is_followed_by_another() -> None:
    first = Process(Start(Settings(), ("chalicelib.queries.sql",), 100_000_000)).ready()
    (pid,) = workers()
    nursery = int(Path(f"/proc/{pid}/status").read_text().partition("PPid:")[2].split()[0])
    os.kill(nursery, 9)
    second = Process(Start(Settings(), ("chalicelib.queries.sql",), 100_000_000)).ready()
    for process in (first, second):
        assert process.call(Judge("SELECT 1", ()))
        process.close()


def ended(child: Child) -> None:
    child.kill()
    child.wait(20)


def test_a_nursery_that_stands_still_is_followed_by_another() -> None:
    nursery = Nursery(patience=20.0)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ended(nursery.bear(theirs))
        assert nursery._process is not None
        stopped = nursery._process.pid
        os.kill(stopped, signal.SIGSTOP)
        nursery._patience = 0.5
        with suppress(OSError):  # the next one may need longer than that to begin
            ended(nursery.bear(theirs))
        nursery._patience = 20.0
        child = nursery.bear(theirs)
        assert child.poll() is None
        ended(child)
        assert not Path(f"/proc/{stopped}").exists()
    nursery.end()


def test_closing_leaves_no_process(tmp_path: Path) -> None:
    with embedded(tmp_path) as opened:
        opened.engine.start_query(ENDLESS)
    assert workers() == []
    assert not list((tmp_path / "lake" / "results").glob(".spill/*/*"))


def test_what_is_refused_is_refused_at_once_though_every_slot_is_taken(tmp_path: Path) -> None:
    with embedded(tmp_path, query_slots=1, query_seconds=30.0) as opened:
        stuck = opened.engine.start_query(ENDLESS)
        with pytest.raises(QueryRefused, match="nonsense"):
            opened.engine.start_query("SELECT nonsense(1)")
        with pytest.raises(QueryRefused):
            opened.engine.check("SELECT nonsense(1)")
        opened.engine.cancel(stuck.query_id)


def test_a_statement_that_is_not_read_to_its_end_stands_in_nobodys_way(tmp_path: Path) -> None:
    with embedded(tmp_path, query_slots=1, results_bytes=1_000_000, query_bytes=900_000) as opened:
        for _ in range(3):
            assert opened.done(KILLERS["random rows without end"]).truncated
            assert opened.ask("SELECT 1") == [(1,)]
        assert opened.done(KILLERS["rows without end"], max_rows=10).rows == 10
        assert opened.ask("SELECT 2") == [(2,)]
    with embedded(tmp_path / "small", query_slots=1, results_bytes=1_000_000, query_bytes=2_000_000) as opened:
        query = opened.done(KILLERS["random rows without end"])
        assert query.error is not None and "RESULTS_BYTES" in query.error["message"]
        assert opened.ask("SELECT 3") == [(3,)]


# What lies in the lake


@pytest.mark.thorough
def test_pipes_and_odd_names_among_the_tables_stop_nothing(opened: Opened) -> None:
    folder = Path(opened.lake.store.location("transformed/g1/tracks_history/month=2026-11"))
    os.mkfifo(folder / "pipe.parquet")
    (folder / "loop").symlink_to(folder)
    (folder / ".hidden.parquet").write_bytes(b"x")
    Path(os.fsdecode(os.fsencode(folder) + b"/odd\xff.parquet")).write_bytes(b"x")
    (folder / "a*b?[c].parquet").write_bytes(b"x")
    assert opened.ask("SELECT count(*) FROM tracks") == [(2,)]
    assert opened.crawl().state == "succeeded"


def test_pipes_and_folders_among_the_locks_of_processes_stop_nothing(tmp_path: Path) -> None:
    owners = tmp_path / "lake" / "results" / "owners"
    owners.mkdir(parents=True)
    os.mkfifo(owners / "0123456789abcdef")
    (owners / "folder").mkdir()
    answers: list[object] = []

    def ask() -> None:
        with embedded(tmp_path) as opened:
            answers.extend(opened.ask("SELECT 1"))

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(60)
    assert answers == [(1,)]


@pytest.mark.thorough
def test_a_pipe_that_takes_a_files_place_is_left_when_time_is_over(tmp_path: Path) -> None:
    """Whoever opens it waits for a writer. The folder of the table does not change, so that it is not listed anew."""
    with embedded(tmp_path, query_seconds=3.0) as opened:
        fill(opened)
        (file,) = Path(opened.lake.store.location("transformed/g1/tracks_history")).rglob("*.parquet")
        elsewhere = Path(opened.lake.store.location("transformed/elsewhere"))  # DuckDB may not read other places
        elsewhere.mkdir()
        target = file.rename(elsewhere / "target")
        file.symlink_to(target)
        for number in range(2):
            time.sleep(0.1)  # a folder that has just changed is listed once more
            assert opened.ask(f"SELECT count(*) + {number} FROM tracks") == [(2 + number,)]
        target.unlink()
        os.mkfifo(target)
        query = opened.done("SELECT count(*) + 3 FROM tracks")
        assert query.error is not None and "QUERY_SECONDS allows (3 s)" in query.error["message"]
        assert opened.ask("SELECT count(*) FROM plays") == [(3,)]
        assert list(opened.engine.damaged_files().values()) == ["it is no file"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("harm", ["cut", "zeros", "empty", "noise"])
def test_a_damaged_file_is_named_with_what_heals_it(opened: Opened, harm: str) -> None:
    (file,) = Path(opened.lake.store.location("transformed/g1/tracks_history")).rglob("*.parquet")
    content = file.read_bytes()
    harmed = {"cut": content[: len(content) // 2], "zeros": bytes(len(content)), "empty": b"", "noise": os.urandom(900)}
    file.write_bytes(harmed[harm])
    query = opened.done("SELECT count(*) FROM tracks")
    key = f"transformed/g1/tracks_history/month=2026-11/{file.name}"
    assert query.error is not None and key in query.error["message"] and "transform --all" in query.error["message"]
    assert opened.settings.lake_url not in query.error["message"]
    crawl = opened.crawl()
    assert crawl.state == "failed" and key in (crawl.error or "")
    assert opened.engine.table("artists").rows == 2  # the others were looked at
    assert key in opened.engine.damaged_files(thorough=True)  # type: ignore[attr-defined]


# What is read


def test_a_page_holds_so_many_values_and_the_next_one_goes_on(tmp_path: Path) -> None:
    """Each value is an object of the service's, and takes far more there than in a file."""
    wide = ", ".join(f"ROW(x, ARRAY[x, {n}]) AS c{n}" for n in range(40))
    with embedded(tmp_path) as opened:
        query = opened.done(f"SELECT {wide} FROM UNNEST(sequence(1, 4000)) AS t(x)")
        seen: list[int] = []
        token: str | None = None
        while len(seen) < 3_000:
            page = opened.engine.rows(query.query_id, 10_000, token)
            token = page.next_page_token
            assert 0 < len(page.rows) * 40 * 5 <= PAGE_VALUES  # a row, a number, an array and two numbers
            seen += [row[0]["field0"] if isinstance(row[0], dict) else row[0][0] for row in page.rows]
        assert seen == list(range(1, len(seen) + 1))
        pages = opened.engine.all_rows(query.query_id, bounded=True)
        assert all(len(page.rows) * 40 * 5 <= PAGE_VALUES for page in islice(pages, 3))


@pytest.mark.thorough
@pytest.mark.parametrize(
    "row",
    [
        ", ".join(f"array_join(repeat(rpad('', 10000, 'a'), 90), '') || '{n}'" for n in range(40)),
        "(SELECT array_agg(ARRAY[x, y]) FROM UNNEST(sequence(1, 10000)) AS a(x), UNNEST(sequence(1, 40)) AS b(y))",
    ],
    ids=["long texts", "many values"],
)
def test_the_service_does_not_hold_a_row_that_is_too_long_whatever_is_asked_for(tmp_path: Path, row: str) -> None:
    with embedded(tmp_path) as opened:
        query = opened.done(f"SELECT {row}")
        assert query.error is None
        with pytest.raises(QueryFailed, match="download"):
            opened.engine.rows(query.query_id)
        with pytest.raises(QueryFailed, match="download"):
            list(opened.engine.all_rows(query.query_id, bounded=True))
        assert opened.engine.download(query.query_id, "parquet").path


def test_a_result_that_made_room_for_others_is_not_kept_by_who_reads_it_slowly(tmp_path: Path) -> None:
    with embedded(tmp_path) as opened:
        query = opened.done("SELECT x, y FROM UNNEST(sequence(1, 10000)) AS a(x), UNNEST(sequence(1, 60)) AS b(y)")
        pages = opened.engine.all_rows(query.query_id)
        assert next(pages).rows
        for path in (tmp_path / "lake" / "results").rglob("*.parquet"):
            path.unlink()
        with pytest.raises(NotFound, match="removed"):
            next(pages)


# What is written


def test_a_result_never_gets_longer_than_it_may(tmp_path: Path) -> None:
    with embedded(tmp_path, query_bytes=300_000) as opened, Watched(opened) as watched:
        query = opened.done(
            "SELECT random() AS y FROM UNNEST(sequence(1, 10000)) AS t(x), UNNEST(sequence(1, 50)) AS u(y)"
        )
        assert query.truncated and query.rows
        assert len(opened.engine.rows(query.query_id, 10).rows) == 10
    assert 100_000 < watched.disk <= 300_000


@pytest.mark.thorough
def test_a_csv_file_that_would_be_too_long_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with embedded(tmp_path, query_bytes=5_000_000) as opened, Watched(opened) as watched:
        query = opened.done(TOO_WIDE)
        for _ in range(2):  # the second time it is known
            with pytest.raises(QueryFailed, match="QUERY_BYTES"):
                chunks = opened.engine.download(query.query_id, "csv").chunks
                assert chunks is not None
                list(chunks)
        assert not list((tmp_path / "lake" / "results").rglob("*.csv*"))
    assert watched.disk <= 2 * 5_000_000


@pytest.mark.thorough
def test_one_csv_file_serves_all_who_ask_at_the_same_time(tmp_path: Path) -> None:
    with embedded(tmp_path) as opened, Watched(opened) as watched:
        query = opened.done(TOO_WIDE)
        lengths: list[int] = []

        def read() -> None:
            found = opened.engine.download(query.query_id, "csv")
            lengths.append(found.path.stat().st_size if found.path else sum(map(len, found.chunks or ())))

        readers = [threading.Thread(target=read) for _ in range(12)]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
        (file,) = (tmp_path / "lake" / "results").rglob("*.csv")
        size = file.stat().st_size
        assert lengths == [size] * 12 and size > 200_000_000
    assert watched.disk < 1.2 * size


@pytest.mark.thorough
def test_a_csv_file_is_given_up_with_its_last_reader(tmp_path: Path) -> None:
    with embedded(tmp_path) as opened:
        query = opened.done(TOO_WIDE.replace("sequence(1, 2)", "sequence(1, 8)"))  # not written in a moment
        found = [opened.engine.download(query.query_id, "csv").chunks for _ in range(2)]
        for chunks in found:
            assert chunks is not None
            while not next(chunks):
                pass
            chunks.close()
        results_folder = tmp_path / "lake" / "results"
        deadline = time.monotonic() + 30
        while list(results_folder.rglob("*.csv*")) + list(results_folder.rglob(".*.csv*")):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert opened.engine.download(query.query_id, "parquet").path


def test_all_results_together_stay_within_their_share(tmp_path: Path) -> None:
    with embedded(tmp_path, results_bytes=1_000_000) as opened, Watched(opened) as watched:
        sql = "SELECT random() AS y FROM UNNEST(sequence(1, 10000)) AS t(x), UNNEST(sequence(1, 4)) AS u(y)"
        queries = [opened.done(sql) for _ in range(8)]
        assert all(query.state == QueryState.SUCCEEDED for query in queries)
        assert opened.engine.rows(queries[-1].query_id, 1).rows
    assert watched.disk <= 1_000_000


def test_records_of_queries_count_as_results(tmp_path: Path) -> None:
    """Their statements are somebody else's, and as long as may be."""
    comment = "x" * 100_000
    with embedded(tmp_path, results_bytes=1_000_000) as opened:
        queries = [opened.done(f"SELECT {number} /* {comment} */") for number in range(30)]
        again = [opened.done("SELECT 0 AS a" + f"/* {comment}{number} */") for number in range(10)]
        kept = [path for path in (tmp_path / "lake" / "results").glob("2*/*") if path.suffix != ".lock"]
        assert sum(path.stat().st_size for path in kept) <= 1_000_000
        assert opened.engine.rows(again[-1].query_id).rows == [(0,)]
        assert not any(path.name == f"{queries[0].query_id}.json" for path in kept)


def test_a_page_of_one_clients_queries_looks_at_so_many_of_others_and_the_next_one_goes_on(tmp_path: Path) -> None:
    with embedded(tmp_path) as opened:
        mine = opened.done("SELECT 1", client="mine")
        book = QueryBook(opened.lake, timedelta(days=1), now)
        for _ in range(2 * MOST_LOOKED):
            query_id = book.new_id()
            book.prepare(query_id)
            book.write(QueryRecord(replace(mine, query_id=query_id, client="other", submitted_at=now()), book.owner))
        found, token = opened.engine.queries(5, client="mine")
        assert found == [] and token is not None
        pages = 1
        while token is not None:
            more, token = opened.engine.queries(5, token, client="mine")
            found, pages = found + more, pages + 1
        assert [query.query_id for query in found] == [mine.query_id] and pages == 3
        book.close()


def test_room_is_made_from_the_oldest_and_is_never_promised_twice(tmp_path: Path) -> None:
    hour = tmp_path / "20261120T10"
    hour.mkdir()
    for number in range(5):
        (hour / f"{number}.parquet").write_bytes(bytes(100))
    space = Space(tmp_path, 600)
    assert (space.take(50, 100), space.take(50, 100)) == (100, 50)
    assert [name for name, _, _ in sorted(results(tmp_path))] == [f"{number}.parquet" for number in range(1, 5)]
    assert space.take(500, 500) == 0
    space.give(150)
    assert space.take(600, 600) == 600


@pytest.mark.thorough
def test_what_queries_write_is_their_owners_alone(tmp_path: Path) -> None:
    mask = os.umask(0)
    try:
        with embedded(tmp_path) as opened:
            fill(opened)
            query = opened.done("SELECT * FROM plays")
            list(opened.engine.download(query.query_id, "csv").chunks or ())
            opened.crawl()
            paths = [path for path in (tmp_path / "lake").rglob("*") if not path.is_symlink()]
    finally:
        os.umask(mask)
    assert {oct(path.stat().st_mode & 0o777) for path in paths if path.is_file()} == {"0o600"}
    assert {oct(path.stat().st_mode & 0o777) for path in paths if path.is_dir()} == {"0o700"}
    assert {".csv", ".parquet", ".json", ".lock"} <= {path.suffix for path in paths}


def test_messages_name_no_place_of_this_computer(opened: Opened) -> None:
    for sql in (
        "SELECT CAST('/etc/passwd/x' AS integer)",
        "SELECT regexp_like('a', '(')",
        "SELECT date_parse('x', '%Y')",
    ):
        try:
            query = opened.done(sql)
        except QueryRefused as refused:
            message = refused.message
        else:
            message = (query.error or {}).get("message", "")
        assert opened.settings.lake_url not in message and "/home/" not in message


def test_the_service_holds_no_database() -> None:
    """Neither DuckDB nor the translator is imported where pages are read and work is handed out."""
    import subprocess
    import sys

    script = "import sys, chalicelib.queries.embedded.engine; print({'duckdb', 'sqlglot'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_an_engine_that_nobody_uses_has_no_process(tmp_path: Path) -> None:
    engine = EmbeddedEngine(Settings(lake_url=str(tmp_path)), embedded_lake(tmp_path))
    assert workers() == []
    engine.close()


def embedded_lake(folder: Path) -> Lake:
    return open_lake(Settings(lake_url=str(folder)))
