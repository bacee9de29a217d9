"""The service's door over real sockets: what is refused before it is read, how much one caller may take, signing in."""

from __future__ import annotations

import csv
import io
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import requests

from chalicelib.errors import InvalidSetting
from chalicelib.local.bounds import Bounds, Connections, Doorkeeper
from chalicelib.local.httpserver import HttpServer
from chalicelib.local.serve import LOOPBACK_NAMES, own_names, require_safe
from chalicelib.rest.messages import json_of
from chalicelib.settings import Settings
from chalicelib.wiring import Parts
from tests.support.server import eventually

UPLOADS = Bounds(uploads=3, uploads_of_caller=2)


@contextmanager
def served(folder: Path, bounds: Bounds | None = None, **environ: str) -> Iterator[tuple[HttpServer, Parts]]:
    """A lake's API on a free port, in this process."""
    parts = Parts({"LAKE_URL": str(folder / "lake"), "SECRETS_URL": str(folder / "secrets"), **environ}, None)
    bounds = bounds or Bounds()
    keeper = Doorkeeper(parts.access, bounds.wrong_tokens_per_minute)
    hosts = own_names(parts.settings, "127.0.0.1")
    server = HttpServer(lambda: parts.api, keeper, host="127.0.0.1", port=0, hosts=hosts, bounds=bounds)
    server.start()
    try:
        yield server, parts
    finally:
        server.stop()
        parts.close()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[HttpServer, Parts]]:
    with served(tmp_path_factory.mktemp("door")) as both:
        yield both


def connect(server: HttpServer, timeout: float = 20) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=timeout)


def head(method: str, path: str, **headers: Any) -> bytes:
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *lines, "", ""]).encode()


def answer_of(connection: socket.socket) -> tuple[int, dict[str, Any]]:
    """The status of what comes back, and its error."""
    received = b""
    with suppress(ConnectionResetError):
        while b"\r\n\r\n" not in received or not received.endswith(b"}"):
            piece = connection.recv(65_536)
            if not piece:
                break
            received += piece
    start, _, body = received.partition(b"\r\n\r\n")
    return int(start.split()[1]), json.loads(body)["error"] if body else {}


def url(server: HttpServer, path: str) -> str:
    return f"http://127.0.0.1:{server.port}{path}"


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def asked(server: HttpServer, path: str, token: str) -> requests.Response:
    return requests.get(url(server, path), headers=bearer(token), timeout=20)


# --- before a body is read ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path"), [("PUT", "/imports/x"), ("POST", "/queries"), ("PUT", "/reports/mine"), ("POST", "/runs")]
)
@pytest.mark.parametrize("authorization", ["", "Bearer wrong"])
def test_without_a_token_no_byte_of_a_body_is_taken(running, method, path, authorization):
    """The answer is there although the body never comes, and stays so while it goes on coming."""
    server, _ = running
    with closing(connect(server)) as connection:
        headers = {"Authorization": authorization} if authorization else {}
        connection.sendall(head(method, path, Content_Length=9_000_000, **headers))
        status, error = answer_of(connection)
        assert (status, error["code"]) == (401, "unauthorized")
        with suppress(ConnectionError):
            for _ in range(200):
                connection.sendall(b"x" * 65_536)
            raise AssertionError("the server goes on reading")


def test_an_upload_without_a_token_leaves_nothing_on_the_disk(running, tmp_path, monkeypatch):
    server, _ = running
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with closing(connect(server)) as connection:
        connection.sendall(head("PUT", "/imports/x", Content_Length=10**14))
        assert answer_of(connection)[0] == 401
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("framing", ["Content-Length: 70000", "Transfer-Encoding: chunked"])
def test_without_a_token_a_body_is_short(running, framing):
    """However many connections there are, what comes without a token takes little memory."""
    server, _ = running
    with closing(connect(server)) as connection:
        connection.sendall(f"POST /session HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n".encode())
        if "chunked" in framing:
            connection.sendall(
                b"7000\r\n" + b" " * 0x7000 + b"\r\n7000\r\n" + b" " * 0x7000 + b"\r\n7000\r\n" + b" " * 0x7000
            )
        status, error = answer_of(connection)
        assert (status, error["code"]) == (413, "request_too_large")


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (["Content-Length: 2", "Content-Length: 2"], 400),
        (["Content-Length: 2", "Content-Length: 3"], 400),
        (["Content-Length: 2, 2"], 400),
        (["Content-Length: +2"], 400),
        (["Content-Length: 2", "Transfer-Encoding: chunked"], 400),
        (["Transfer-Encoding: chunked", "Content-Length: 2"], 400),
        (["Transfer-Encoding: xchunked"], 400),
        (["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"], 400),
        (["Transfer-Encoding: gzip, chunked"], 400),
        (["Host: evil.example"], 400),
    ],
)
def test_what_two_readers_could_read_differently_is_refused(running, lines, status):
    server, parts = running
    text = "\r\n".join(["POST /queries HTTP/1.1", "Host: localhost", *lines])
    with closing(connect(server)) as connection:
        connection.sendall(f"{text}\r\nAuthorization: Bearer {parts.access.local_token()}\r\n\r\n{{}}".encode())
        assert answer_of(connection)[0] == status


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "10.0.0.1"])
def test_on_loopback_no_other_host_is_answered_for(running, host):
    server, _ = running
    answer = requests.get(url(server, "/health"), headers={"Host": host}, timeout=20)
    assert (answer.status_code, answer.json()["error"]["code"]) == (421, "misdirected_request")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1234", "127.0.0.1", "[::1]:80"])
def test_its_own_names_are_answered_for(running, host):
    assert requests.get(url(running[0], "/health"), headers={"Host": host}, timeout=20).status_code == 200


def test_behind_a_proxy_the_public_name_is_answered_for():
    names = own_names(Settings(public_url="https://lake.example/x"), "127.0.0.1")
    assert names == frozenset({*LOOPBACK_NAMES, "lake.example"})
    assert own_names(Settings(), "0.0.0.0") is None


# --- how much one caller may take ---------------------------------------------------------------------------------


def test_slow_heads_keep_nobody_out_and_are_closed_for_those_who_come(tmp_path):
    with served(tmp_path, Bounds(connections=60, header_seconds=600)) as (server, _):
        slow = [connect(server) for _ in range(200)]
        try:
            for connection in slow:
                with suppress(ConnectionError):
                    connection.sendall(b"GET /health HTTP/1.1\r\nX-")
            assert requests.get(url(server, "/health"), timeout=20).status_code == 200
            assert len(server.connections.all()) <= 61
        finally:
            for connection in slow:
                connection.close()


def test_a_head_that_does_not_come_in_time_is_closed(tmp_path):
    with served(tmp_path, Bounds(header_seconds=0.3)) as (server, _), closing(connect(server)) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nX-")
        assert connection.recv(1) == b""


def test_a_body_that_does_not_come_in_time_is_refused(tmp_path):
    with served(tmp_path, Bounds(body_seconds=0.3)) as (server, parts), closing(connect(server)) as connection:
        connection.sendall(head("POST", "/queries", Content_Length=100, **bearer(parts.access.local_token())) + b"{")
        status, error = answer_of(connection)
        assert (status, error["code"]) == (408, "request_timeout")


def test_uploads_are_bounded_per_token_and_in_all_and_leave_no_file(tmp_path, monkeypatch):
    spools = tmp_path / "spools"
    spools.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(spools))
    with served(tmp_path, UPLOADS) as (server, parts):
        tokens = [parts.access.add(name, "run")[1] for name in ("one", "two", "three")]
        under_way: list[socket.socket] = []

        def begin(token: str) -> socket.socket:
            connection = connect(server)
            connection.sendall(head("PUT", "/imports/x", Content_Length=1_000, **bearer(token)) + b"x")
            under_way.append(connection)
            return connection

        try:
            begin(tokens[0]), begin(tokens[0])
            assert eventually(lambda: len(list(spools.iterdir())) == 2)
            assert answer_of(begin(tokens[0]))[0] == 503
            begin(tokens[1])
            assert eventually(lambda: len(list(spools.iterdir())) == 3)
            status, error = answer_of(begin(tokens[2]))
            assert (status, error["code"]) == (503, "uploads_busy")
            assert asked(server, "/reports", tokens[2]).status_code == 200
        finally:
            for connection in under_way:
                connection.close()
        assert eventually(lambda: not list(spools.iterdir()))


def test_bodies_in_memory_are_bounded_per_token_and_in_all(tmp_path):
    """A token's bodies that do not come to their end leave room for another's, and what they held is given back."""
    bounds = Bounds(bodies_bytes=5_000, bodies_bytes_of_caller=3_000)
    with served(tmp_path, bounds) as (server, parts):
        tokens = [parts.access.add(name, "read")[1] for name in ("one", "two", "three")]
        for token in tokens:
            assert asked(server, "/reports", token).status_code == 200

        def begin(token: str) -> socket.socket:
            connection = connect(server)
            connection.sendall(head("POST", "/queries", Content_Length=2_500, **bearer(token)) + b"x" * 2_000)
            return connection

        with closing(begin(tokens[0])):
            assert eventually(lambda: server.bodies._held.total() == 2_000)
            with closing(begin(tokens[0])) as second:
                assert answer_of(second)[0] == 503
            with closing(begin(tokens[1])):
                assert eventually(lambda: server.bodies._held.total() == 4_000)
                with closing(begin(tokens[2])) as third:
                    status, error = answer_of(third)
                    assert (status, error["code"]) == (503, "uploads_busy")
        assert eventually(lambda: not server.bodies._held)
        answer = requests.post(url(server, "/queries"), json={"sql": "DROP"}, headers=bearer(tokens[0]), timeout=20)
        assert answer.status_code == 400


def test_a_file_that_was_deleted_while_it_is_sent_slowly_is_let_go(tmp_path):
    with served(tmp_path) as (server, parts):
        _, token = parts.access.add("notebook", "read")
        sql = "SELECT random() AS v FROM UNNEST(sequence(1,10000)) AS t(x), UNNEST(sequence(1,200)) AS u(y)"
        query = parts.engine.wait(parts.engine.start_query(sql, client="x").query_id, 30)
        (file,) = (tmp_path / "lake" / "results").rglob("*.parquet")
        assert file.stat().st_size > 12_000_000, query
        owner = parts.access.local_token()
        with closing(connect(server)) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            connection.sendall(head("GET", f"/queries/{query.query_id}/download?format=parquet", **bearer(owner)))
            assert connection.recv(1_000).startswith(b"HTTP/1.1 200")
            file.unlink()
            while connection.recv(1 << 20):
                pass
        assert eventually(lambda: f"{file} (deleted)" not in open_files())
        assert asked(server, "/reports", token).status_code == 200


def open_files() -> list[str]:
    """The names of what this process holds open."""
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            found.append(os.readlink(descriptor))
    return found


def test_one_callers_many_requests_leave_room_for_the_others(tmp_path):
    """Ten requests of one token hold all the threads that it may have; another token's is answered meanwhile."""
    bounds = Bounds(requests_of_caller=2, threads=4)
    with served(tmp_path, bounds) as (server, parts):
        go_on, inside = threading.Event(), threading.Semaphore(0)
        handle = parts.api.handle

        class Slow:
            def handle(self, request: Any) -> Any:
                if request.token_id == busy_id:
                    inside.release()
                    assert go_on.wait(30)
                return handle(request)

        slow = Slow()
        server.api = lambda: slow  # type: ignore[assignment, return-value]
        (busy, busy_token), (_, other) = parts.access.add("busy", "read"), parts.access.add("other", "read")
        busy_id = busy.token_id
        threads = [threading.Thread(target=asked, args=(server, "/reports", busy_token)) for _ in range(10)]
        for thread in threads:
            thread.start()
        assert inside.acquire(timeout=20) and inside.acquire(timeout=20)
        assert asked(server, "/reports", other).status_code == 200
        assert not inside.acquire(blocking=False)
        go_on.set()
        for thread in threads:
            thread.join()


def test_more_connections_than_files_are_never_promised():
    assert Connections.allowed(10**9).most < 10**9


# --- wrong tokens -------------------------------------------------------------------------------------------------


def test_wrong_tokens_are_slowed_down_and_right_ones_are_not(tmp_path):
    with served(tmp_path, API_TOKEN="a-password-of-mine") as (server, parts):
        _, own = parts.access.add("notebook", "read")
        assert asked(server, "/reports", "a-password-of-mine").status_code == 200
        statuses = [asked(server, "/reports", f"guess-{number}").status_code for number in range(40)]
        assert statuses[0] == 401 and set(statuses[20:]) == {429}
        refused = asked(server, "/reports", "guess")
        assert int(refused.headers["Retry-After"]) >= 1
        assert asked(server, "/reports", "a-password-of-mine").status_code == 200  # was right lately
        assert asked(server, "/reports", own).status_code == 200  # cannot be guessed


def test_a_guess_that_is_right_is_not_looked_at_after_too_many_wrong_ones(tmp_path):
    with served(tmp_path, API_TOKEN="a-password-of-mine") as (server, _):
        for number in range(40):
            asked(server, "/reports", f"guess-{number}")
        assert asked(server, "/reports", "a-password-of-mine").status_code == 429


def test_wrong_codes_count_as_wrong_tokens(tmp_path):
    with served(tmp_path) as (server, _):
        address = url(server, "/session")
        statuses = [requests.post(address, json={"code": f"{n}"}, timeout=20).status_code for n in range(40)]
    assert statuses[0] == 401 and statuses[-1] == 429


def test_a_token_that_was_right_lately_is_right_as_a_bearer_token_only(running):
    server, parts = running
    token = parts.access.local_token()
    for scheme, status in (("Bearer", 400), ("bearer", 400), ("Basic", 401), ("Token", 401)):
        headers = {"Authorization": f"{scheme} {token}"}
        answer = requests.post(url(server, "/queries"), data="{}", headers=headers, timeout=20)
        assert answer.status_code == status, scheme


@pytest.mark.parametrize("token", ["1", "hunter2", "a" * 40, "correct horse"])
def test_a_weak_token_is_refused_where_others_reach_the_service(token):
    with pytest.raises(InvalidSetting, match="easy to guess"):
        require_safe(Settings(api_token=token), "0.0.0.0", plain_http=True)
    require_safe(Settings(api_token=token), "127.0.0.1", plain_http=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "lake.local"])
def test_plain_http_beyond_this_computer_must_be_said(host):
    with pytest.raises(InvalidSetting, match="--plain-http"):
        require_safe(Settings(), host, plain_http=False)
    require_safe(Settings(api_token="q8Jr-Xv2Lm-0pZtY7wKe"), host, plain_http=True)


# --- signing in ---------------------------------------------------------------------------------------------------


def test_a_session_is_listed_stays_when_it_is_said_and_ends_when_it_is_said(tmp_path):
    with served(tmp_path) as (server, parts):
        code = parts.access.new_code()
        made = requests.post(url(server, "/session"), json={"code": code}, timeout=20)
        assert made.status_code == 201 and made.json()["scope"] == "run"
        session = bearer(made.json()["token"])
        (kept,) = [each for each in parts.access.accepted() if each.name == "browser"]
        stays = requests.put(url(server, "/session"), headers=session, timeout=20)
        assert stays.status_code == 200 and stays.json()["expires_at"] > str(kept.expires_at)
        assert "token" in stays.json() and stays.json()["token"] is None
        assert requests.delete(url(server, "/session"), headers=session, timeout=20).status_code == 200
        assert requests.get(url(server, "/reports"), headers=session, timeout=20).status_code == 401
        assert [each.name for each in parts.access.accepted()] == []


def test_signing_out_takes_no_token_back_that_somebody_made(running):
    server, parts = running
    _, token = parts.access.add("notebook", "read")
    assert requests.delete(url(server, "/session"), headers=bearer(token), timeout=20).status_code == 200
    assert asked(server, "/reports", token).status_code == 200


def test_the_token_of_this_computer_is_listed_and_can_be_revoked(running):
    server, parts = running
    token = parts.access.local_token()
    assert asked(server, "/reports", token).status_code == 200
    assert "local" in [each.token_id for each in parts.access.accepted()]
    parts.access.revoke("local")
    assert asked(server, "/reports", token).status_code == 401
    assert parts.access.local_token() != token


# --- answers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body", ['{"sql": "\\ud800"}', '{"\\ud800": 1}', '{"sql": "SELECT 1", "parameters": ["\\udfff"]}']
)
def test_half_a_surrogate_pair_is_the_requests_fault(running, body):
    server, parts = running
    token = parts.access.local_token()
    answer = requests.post(url(server, "/queries"), data=body, headers=bearer(token), timeout=20)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_request")
    answer = requests.post(
        url(server, "/imports"), data='{"filename": "a\\ud800.zip"}', headers=bearer(token), timeout=20
    )
    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/mcp", '{"jsonrpc": "2.0", "id": 1e400, "method": "ping"}'),
        ("/queries", '{"sql": "SELECT ?", "parameters": [-1e400]}'),
        ("/queries", '{"sql": "SELECT 1", "parameters": [' + "[]," * 600_000 + "1]}"),
        ("/queries", '{"sql": "SELECT 1", "parameters": [' + '"",' * 600_000 + "1]}"),
        ("/queries", '{"sql": "SELECT 1", "parameters": [' + "[" * 900_000),
        ("/queries", '{"sql": "' + '\\"' * 900_000),
    ],
    ids=["an infinite id", "an infinite value", "many lists", "many texts", "deep", "a text that does not end"],
)
def test_a_body_that_cannot_be_answered_or_holds_too_much_is_refused_at_once(running, path, body):
    server, parts = running
    begun = time.thread_time()
    with pytest.raises(ValueError):
        json_of(body.encode())
    assert time.thread_time() - begun < 0.5
    answer = requests.post(url(server, path), data=body, headers=bearer(parts.access.local_token()), timeout=20)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_request")


@pytest.mark.parametrize("user", ["..", ".", ".tmp", "a/b", ""])
def test_a_listener_whose_name_is_no_folder_is_refused(running, user):
    server, parts = running
    document = {"filename": "a.zip", "user_id": user}
    answer = requests.post(
        url(server, "/imports"), json=document, headers=bearer(parts.access.local_token()), timeout=20
    )
    assert answer.status_code == 400


HOSTILE = ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(1+1)", "\t=1", " =1", "＝1", "plain", "-", "a=b"]


@pytest.mark.parametrize("way", ["rows", "download"])
def test_csv_for_spreadsheets_runs_nothing_and_rfc_4180_stays_the_default(running, way):
    server, parts = running
    token = parts.access.local_token()
    sql = 'SELECT t AS "=name", -1 AS n FROM UNNEST(ARRAY[' + ", ".join("?" for _ in HOSTILE) + "]) AS x(t)"
    started = requests.post(
        url(server, "/queries"), json={"sql": sql, "parameters": HOSTILE}, headers=bearer(token), timeout=30
    )
    address = url(server, started.headers["Location"])
    requests.get(address, params={"wait": 20}, headers=bearer(token), timeout=30)
    headers = bearer(token) | {"Accept": "text/csv"}
    plain, excel = (
        requests.get(f"{address}/{way}", params={"csv": kind}, headers=headers, timeout=30).content.decode()
        for kind in ("rfc4180", "excel")
    )
    assert [row[0] for row in csv.reader(io.StringIO(plain))] == ["=name", *HOSTILE]
    cells = [row[0] for row in csv.reader(io.StringIO(excel))]
    assert cells == [f"'{text}" for text in ["=name", *HOSTILE[:7]]] + ["plain", "'-", "a=b"]
    assert {row[1] for row in csv.reader(io.StringIO(excel))} == {"n", "-1"}


def test_a_lake_whose_folder_went_away_is_not_taken_for_an_empty_one(tmp_path):
    with served(tmp_path) as (server, parts):
        token = parts.access.local_token()
        (tmp_path / "lake").mkdir()
        assert asked(server, "/runs", token).status_code == 200
        os.rename(tmp_path / "lake", tmp_path / "unplugged")
        for path in ("/runs", "/tables", "/reports"):
            answer = asked(server, path, token)
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "storage_unavailable")
        assert requests.post(url(server, "/runs"), headers=bearer(token), timeout=20).status_code == 503
        assert not (tmp_path / "lake").exists()
        assert eventually(lambda: requests.get(url(server, "/health"), timeout=20).json()["warnings"])
        os.rename(tmp_path / "unplugged", tmp_path / "lake")
        assert asked(server, "/runs", token).status_code == 200
