"""The served app over real HTTP: manners of the server, tokens, static files, uploads, starting and stopping."""

from __future__ import annotations

import gzip
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from tests.support.server import LakeServer, environment, eventually


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LakeServer]:
    with LakeServer(tmp_path_factory.mktemp("served"), {"REQUESTS_PER_MINUTE": "1000000"}) as running:
        yield running


def error_of(answer: requests.Response) -> dict[str, Any]:
    """The error of an answer, after checking that it has the one shape."""
    document = answer.json()
    assert document.keys() == {"error"}
    assert document["error"].keys() == {"code", "message", "details"}
    assert answer.headers["Content-Type"] == "application/json"
    return dict(document["error"])


def raw_request(server: LakeServer, text: bytes) -> bytes:
    """What comes back for bytes that no HTTP library would send."""
    parts = urlsplit(server.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=10) as connection:
        connection.sendall(text)
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while piece := connection.recv(65_536):
            received += piece
    return received


# --- tokens -------------------------------------------------------------------------------------------------------


@pytest.mark.thorough
def test_health_and_the_description_need_no_token(server):
    assert requests.get(server.url + "/health", timeout=10).json()["status"] == "ok"
    assert requests.get(server.url + "/openapi.json", timeout=10).json()["openapi"] == "3.1.0"


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer wrong", "Basic YTpi", "Bearer \xff"])
def test_without_the_right_token_the_answer_is_401_in_the_one_shape_with_the_remedy(server, header):
    headers = {} if header is None else {"Authorization": header.encode("latin-1")}
    answer = requests.get(server.url + "/runs", headers=headers, timeout=10)
    assert answer.status_code == 401
    assert error_of(answer)["code"] == "unauthorized"
    assert "token show" in error_of(answer)["message"]
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_read_token_may_ask_but_not_start(server):
    made = subprocess.run(
        [sys.executable, "-m", "chalicelib", "token", "add", "--name", "reader", "--scope", "read"],
        env=environment(server.folder, {}),
        cwd=server.folder,
        capture_output=True,
        text=True,
        check=True,
    )
    headers = {"Authorization": f"Bearer {made.stdout.strip()}"}
    asked = eventually(lambda: (a := requests.get(server.url + "/reports", headers=headers, timeout=10)).ok and a)
    assert asked.status_code == 200
    refused = requests.post(server.url + "/runs", headers=headers, timeout=10)
    assert refused.status_code == 403
    assert "scope run" in str(error_of(refused)["message"])


def test_the_token_is_in_no_log(server):
    requests.get(server.address, timeout=10)
    assert server.token not in server.log()


# --- manners ------------------------------------------------------------------------------------------------------


def test_what_is_not_there_is_404_and_a_wrong_method_405_with_those_allowed(server):
    missing = server.get("/nothing/here")
    assert (missing.status_code, error_of(missing)["code"]) == (404, "not_found")
    for method in ("DELETE", "PATCH", "TRACE", "QUERY"):
        wrong = server.session.request(method, server.url + "/runs", timeout=10)
        assert (wrong.status_code, wrong.headers["Allow"]) == (405, "GET, POST")
        assert error_of(wrong)["code"] == "method_not_allowed"


def test_every_fault_of_a_request_is_named_at_once(server):
    answer = server.post("/queries", json={"parameters": 1, "max_rows": 0, "sqll": "SELECT 1"})
    assert answer.status_code == 400
    details = error_of(answer)["details"]
    assert {fault["name"] for fault in details["faults"]} == {"sql", "sqll", "parameters", "max_rows"}


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"[1]", "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b'{"sql": NaN}', "application/json", 400),
        (b"<sql/>", "application/xml", 415),
    ],
)
def test_a_body_that_is_no_json_object_is_refused(server, body, kind, status):
    answer = server.post("/queries", data=body, headers={"Content-Type": kind})
    assert answer.status_code == status
    error_of(answer)


def test_every_answer_names_its_request_and_forbids_sniffing_framing_and_referrers(server):
    for path in ("/health", "/reports", "/nothing", "/runs/unknown"):
        answer = server.get(path)
        assert answer.headers["X-Request-Id"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    first, second = (server.get("/health").headers["X-Request-Id"] for _ in range(2))
    assert first != second


def test_long_answers_are_compressed_for_those_who_take_it(server):
    packed = server.get("/openapi.json", headers={"Accept-Encoding": "gzip"}, stream=True)
    assert packed.headers["Content-Encoding"] == "gzip"
    assert packed.headers["Vary"] == "Accept-Encoding"
    assert json.loads(gzip.decompress(packed.raw.read()))["openapi"] == "3.1.0"
    for taken in ("identity", "gzip;q=0", "br"):
        assert "Content-Encoding" not in server.get("/openapi.json", headers={"Accept-Encoding": taken}).headers


@pytest.mark.parametrize("path", ["/openapi.json", "/reports", "/"])
def test_what_a_client_has_already_is_not_sent_again(server, path):
    first = server.get(path)
    again = server.get(path, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    assert server.get(path, headers={"If-None-Match": 'W/"other"'}).status_code == 200


def test_head_answers_as_get_without_a_body(server):
    answer = server.session.head(server.url + "/openapi.json", timeout=10)
    assert answer.status_code == 200 and answer.content == b""
    assert int(answer.headers["Content-Length"]) > 0


def test_a_request_that_is_too_large_is_refused_before_it_is_read(server):
    parts = urlsplit(server.url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)
    connection.putrequest("POST", "/queries")
    connection.putheader("Authorization", f"Bearer {server.token}")
    connection.putheader("Content-Length", str(50_000_000))
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status == 413
    assert json.loads(answer.read())["error"]["code"] == "request_too_large"
    connection.close()


@pytest.mark.parametrize(
    "request_text",
    [
        b"GET /health HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"POST /queries HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /queries HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc",
        b"GARBAGE\r\n\r\n",
        b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n",
        b"BREW /health HTTP/1.1\r\n\r\n",
        b"GET /health HTTP/9.9\r\n\r\n",
    ],
)
def test_http_that_is_no_http_gets_an_error_in_the_one_shape(server, request_text):
    head, _, body = raw_request(server, request_text).partition(b"\r\n\r\n")
    assert re.match(rb"HTTP/1\.[01] (4\d\d|505)", head), head
    assert json.loads(body)["error"]["code"]


def test_after_all_that_no_traceback_is_in_the_log_and_it_still_answers(server):
    assert server.get("/health").status_code == 200
    assert "Traceback" not in server.log()


def test_a_hundred_idle_connections_keep_nobody_out(server):
    parts = urlsplit(server.url)
    idle = [socket.create_connection((parts.hostname, parts.port), timeout=10) for _ in range(100)]
    try:
        assert requests.get(server.url + "/health", timeout=5).status_code == 200
    finally:
        for connection in idle:
            connection.close()


@pytest.mark.thorough
def test_answers_of_clients_at_the_same_time_are_not_mixed_up(server):
    wrong: list[str] = []

    def ask(number: int) -> None:
        with requests.Session() as session:
            session.headers["Authorization"] = f"Bearer {server.token}"
            for turn in range(20):
                name = f"none-{number}-{turn}"
                answer = session.get(f"{server.url}/runs/{name}", timeout=20)
                if name not in answer.text or answer.status_code != 404:
                    wrong.append(answer.text)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


# --- the dashboard's files ----------------------------------------------------------------------------------------


def test_the_page_comes_with_a_strict_policy(server):
    answer = requests.get(server.address, timeout=10)
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: https://i.scdn.co;" in policy
    assert "frame-ancestors 'none'" in policy and policy.count("https:") == 1, "covers, once a click has asked for them"
    assert answer.headers["Referrer-Policy"] == "no-referrer"


def test_every_file_the_page_names_is_served_with_its_type(server):
    page = requests.get(server.url + "/", timeout=10).text
    named = re.findall(r'(?:src|href)="(static/[^"]+)"', page)
    assert named
    for name in named:
        answer = requests.get(f"{server.url}/{name}", timeout=10)
        assert answer.status_code == 200, name
        expected = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}[name.rpartition(".")[2]]
        assert answer.headers["Content-Type"].startswith(expected)


@pytest.mark.parametrize("name", ["nothing.js", "..%2Fapi.py", "%2e%2e/api.py", "vendor/..%2F..%2Fapi.py", "index.py"])
def test_no_other_file_can_be_had(server, name):
    assert requests.get(f"{server.url}/static/{name}", timeout=10).status_code == 404


# --- starting and stopping ----------------------------------------------------------------------------------------


def start(folder: Path, *arguments: str, **extra: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "chalicelib", "serve", *arguments],
        env=environment(folder, extra),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.thorough
def test_a_port_in_use_is_one_clear_line(server, tmp_path):
    port = urlsplit(server.url).port
    out, errors = (process := start(tmp_path, "--port", str(port))).communicate(timeout=30)
    assert process.returncode != 0 and out == ""
    assert errors.strip() == f"error: port {port} is in use: choose another with --port"


def test_a_wrong_setting_is_one_clear_line_that_names_it(tmp_path):
    _, errors = (process := start(tmp_path, EXTRACT_SCHEDULE="hourly", SPOTIFY_MODE="x")).communicate(timeout=30)
    assert process.returncode == 2
    assert "SPOTIFY_MODE='x'" in errors and "EXTRACT_SCHEDULE='hourly'" in errors
    assert len(errors.strip().splitlines()) == 1


@pytest.mark.thorough
def test_a_schedule_that_eventbridge_would_refuse_ends_serve_with_one_clear_line(tmp_path):
    process = start(tmp_path, "--port", "0", EXTRACT_SCHEDULE="cron(0 6 * * * *)")
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 2
    assert "EXTRACT_SCHEDULE" in errors and len(errors.strip().splitlines()) == 1


@pytest.mark.thorough
def test_a_lake_that_cannot_be_written_ends_serve_with_one_clear_line(tmp_path):
    (tmp_path / "file").write_text("")
    _, errors = (process := start(tmp_path, "--port", "0", LAKE_URL=str(tmp_path / "file" / "lake"))).communicate(
        timeout=30
    )
    assert process.returncode == 73
    assert "LAKE_URL" in errors and len(errors.strip().splitlines()) == 1


@pytest.mark.thorough
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_it_ends_cleanly_when_told_to(tmp_path, number):
    process = start(tmp_path, "--port", "0")
    assert process.stdout is not None and process.stdout.readline().startswith("http://127.0.0.1:")
    os.kill(process.pid, number)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")


BUSY = """
import io, threading
import pyarrow, pyarrow.parquet
from chalicelib.commands.cli import main

table = pyarrow.table({"number": range(20_000), "text": [str(number) for number in range(20_000)]})

def work():
    while True:
        file = io.BytesIO()
        pyarrow.parquet.write_table(table, file)
        pyarrow.parquet.read_table(file)

for _ in range(3):
    threading.Thread(target=work, daemon=True).start()
main()
"""


@pytest.mark.thorough
def test_it_ends_cleanly_while_threads_read_and_write_tables(tmp_path):
    with LakeServer(tmp_path, command=("-c", BUSY, "serve", "--port", "0")) as busy:
        assert (busy.stop(), busy.log()) == (0, "")


def test_a_signal_that_reaches_another_thread_than_the_one_that_waits_is_heard():
    program = (
        "import signal, threading, time; from chalicelib.local.serve import heard_stop\n"
        "def send(): time.sleep(0.3); signal.pthread_kill(threading.get_ident(), signal.SIGTERM); time.sleep(60)\n"
        "with heard_stop() as wait: threading.Thread(target=send, daemon=True).start(); wait()"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=30, check=False).returncode == 0


@pytest.mark.thorough
def test_the_printed_address_signs_one_browser_in_once_and_holds_no_token(tmp_path):
    with LakeServer(tmp_path) as running:  # has used the code
        (code,) = parse_qs(urlsplit(running.printed).query)["code"]
        assert "lake_" not in running.printed
        again = requests.post(f"{running.url}/session", json={"code": code}, timeout=10)
        assert (again.status_code, error_of(again)["code"]) == (401, "unauthorized")
        assert "lake open" in str(error_of(again)["message"])
        assert running.get("/reports").status_code == 200
        kept = "".join(path.read_text() for path in (tmp_path / "secrets").iterdir())
        assert running.token not in kept and code not in kept


@pytest.mark.thorough
def test_a_browser_of_another_origin_is_let_in_only_by_the_setting(server, tmp_path):
    assert "Access-Control-Allow-Origin" not in server.get("/reports").headers
    with LakeServer(tmp_path, {"CORS_ORIGIN": "https://notebook.example"}) as open_server:
        answer = open_server.get("/reports")
        assert answer.headers["Access-Control-Allow-Origin"] == "https://notebook.example"
        asked = {"Origin": "https://notebook.example", "Access-Control-Request-Method": "POST"}
        preflight = requests.options(f"{open_server.url}/queries", headers=asked, timeout=10)
        assert preflight.status_code == 200
        assert "POST" in preflight.headers["Access-Control-Allow-Methods"]
        assert "Authorization" in preflight.headers["Access-Control-Allow-Headers"]
        refused = requests.get(f"{open_server.url}/runs", timeout=10)
        assert refused.status_code == 401
        assert refused.headers["Access-Control-Allow-Origin"] == "https://notebook.example"


# --- uploads ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunked", [False, True])
def test_an_announced_file_is_received_whole(server, chunked):
    content = os.urandom(3_000_000)
    record = server.post("/imports", json={"filename": "my export.zip"}).json()
    assert record["state"] == "waiting" and record["upload"]["method"] == "PUT"
    pieces = (content[at : at + 70_000] for at in range(0, len(content), 70_000))
    answer = server.put(f"/{record['upload']['url']}", data=pieces if chunked else content)
    assert answer.status_code == 202, answer.text
    assert (server.lake / record["key"]).read_bytes() == content
    again = server.put(f"/{record['upload']['url']}", data=b"x")
    assert again.status_code == 409
    assert error_of(again)["code"] == "conflict"


def test_a_file_nobody_announced_or_an_empty_one_is_refused(server):
    assert server.put("/imports/20261120T101530Z-000000", data=b"x").status_code == 404
    record = server.post("/imports", json={"filename": "a.json"}).json()
    assert server.put(f"/{record['upload']['url']}", data=b"").status_code == 400


@pytest.mark.parametrize("name", ["../x.zip", "x.exe", "/etc/passwd", "a/b.zip", ".zip", "x.zip\n"])
def test_a_filename_that_is_no_export_is_refused(server, name):
    answer = server.post("/imports", json={"filename": name})
    assert answer.status_code == 400
    error_of(answer)
