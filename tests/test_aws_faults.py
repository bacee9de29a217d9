"""A fault at each AWS call of a scheduled run and of all that it sets going, of maintenance, and of the API.

Faults are real HTTP answers (or broken connections) in front of the emulation, met by the functions' own clients. A
fault that passes is retried by the client and nobody notices; one that a client does not retry fails the function,
which Lambda calls again; one that lasts ends as one error in the run's record and one dead letter, and whatever was
left undone is done once it is over. Nothing is lost and nothing is doubled.
"""

from __future__ import annotations

import json
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest

from chalicelib.rest.messages import Reply
from chalicelib.runs import FAILED, PARTIAL, RUNNING, SUCCEEDED
from chalicelib.stores import aws as clients
from deploy.functions import FUNCTIONS
from deploy.template import Options, app_template
from tests.support.faults import RUN, SCHEDULED, Faulty, faulty

PASSING = ("throttle", "error", "reset", "lost")  # once each: the client's second attempt gets through
REFUSED = ("denied", "missing", "conflict")
KINDS = PASSING + REFUSED
LASTING = 10**6  # calls
QUERY = "SELECT count(*) AS plays FROM plays"
ERRORS = {"StorageFailed", "StorageUnavailable", "NotFound", "WriteConflict"}
UNRECORDED = {  # where the record itself cannot be read or written
    "s3:HEAD state/runs/#.json", "s3:PUT state/runs/#.json", "s3:HEAD raw/runs/#.json", "s3:PUT raw/runs/#.json",
}  # fmt: skip
REFUSALS = {"storage_failed", "storage_unavailable", "engine_busy", "conflict", "not_found", "write_conflict",
            "crawl_in_progress", "run_in_progress", "query_failed", "query_refused"}  # fmt: skip


@dataclass
class Calm:
    """What comes of a run that nothing goes wrong in, and the calls it makes."""

    answers: Counter[Any]
    rows: set[str]
    plays: list[str]
    calls: list[str]
    objects: dict[str, bytes]  # of a lake in which something is left to transform and to merge
    maintenance: list[str]
    requests: list[str]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faulty]:
    with faulty(tmp_path_factory.mktemp("secrets")) as made:
        yield made


@pytest.fixture(scope="module")
def calm(lab: Faulty) -> Calm:
    lab.reset()
    with lab.tracing() as calls:
        assert lab.schedule() and lab.failed() == []
    calm = Calm(lab.answers(), set(lab.rows()), lab.plays(), calls, left_over(lab), [], [])
    assert len(calm.plays) == len(set(calm.plays)) > 10 and lab.partitions() == lab.partitions_with_files()
    with lab.tracing() as calm.maintenance:
        assert lab.maintain() and lab.failed() == []
    assert lab.plays() == calm.plays and set(lab.rows()) == calm.rows
    with lab.tracing() as calm.requests:
        assert all(is_fine(reply) for reply in ask_everything(lab))
    return calm


def left_over(lab: Faulty) -> dict[str, bytes]:
    """Two runs later, the last one's events lost: maintenance has both to transform and to merge."""
    lab.schedule()
    lab.aws.functions.see_through(lab.name(SCHEDULED), {"sources": ["recently_played"]})
    assert lab.aws.functions.held
    lab.aws.functions.held = []
    return lab.snapshot()


@cache
def firsts(calls: tuple[str, ...]) -> dict[str, int]:
    """The place of the first call of each sort."""
    return {sort: calls.index(sort) for sort in dict.fromkeys(calls)}


# --- a fault that happens once ------------------------------------------------------------------------------------


def run_with_one_fault(lab: Faulty, calm: Calm, kind: str, place: int, seconds: float = 0.0) -> None:
    lab.reset()
    fault = lab.inject(kind, place, seconds=seconds)
    lab.schedule()
    assert fault.hits > place, "the fault came too late to be met"
    lab.aws.faults.clear()
    records, failed = lab.records(), lab.failed()
    if kind not in REFUSED:
        assert failed == [] and [(record.state, record.error) for record in records] == [(SUCCEEDED, None)]
    assert len(failed) <= 1, "Lambda's second call gets through"
    assert lab.dead_letters() == []
    if not any(record.state == SUCCEEDED for record in records):
        assert failed == [SCHEDULED] or records[0].state == PARTIAL  # the next run takes it up
        lab.lease_over()
        assert lab.schedule()
    assert_all_is_well(lab, calm)


def assert_all_is_well(lab: Faulty, calm: Calm) -> None:
    """Every answer and row there, each listen once, every run accounted for, every partition known to Athena."""
    records = lab.records()
    assert max(records, key=lambda record: record.ended_at or "").state == SUCCEEDED
    for record in records:
        assert record.state != RUNNING and record.ended_at, record
        assert record.state == SUCCEEDED or any(map(told, [record.error, *(one.error for one in record.sources)])), (
            record
        )
    assert lab.answers().keys() == calm.answers.keys()
    assert set(lab.rows()) == calm.rows
    assert lab.plays() == calm.plays
    assert lab.partitions() == lab.partitions_with_files()
    assert not list(lab.lake.store.list("state/journal/")) and not list(lab.lake.store.list("quarantine/"))


def told(error: dict[str, Any] | None) -> bool:
    """Whether it says what went wrong, on one line."""
    return bool(error and error["code"] != "internal_error" and error["message"] and "\n" not in error["message"])


def maintenance_with_one_fault(lab: Faulty, calm: Calm, kind: str, place: int) -> None:
    lab.reset()
    lab.fill(calm.objects)
    fault = lab.inject(kind, place)
    assert lab.maintain(), lab.aws.functions.failures[-1]
    assert fault.hits > place
    lab.aws.faults.clear()
    assert lab.failed() == [] or kind in REFUSED
    assert lab.dead_letters() == []
    if kind == "missing":  # what it was told is not there, the next look finds
        assert lab.maintain()
    assert set(lab.rows()) == calm.rows and lab.plays() == calm.plays
    assert lab.partitions() == lab.partitions_with_files()
    assert any("/compact-" in info.key for info in lab.lake.store.list("transformed/g1/")), "nothing was merged"


def requests_with_one_fault(lab: Faulty, calm: Calm, kind: str, place: int) -> None:
    lab.reset()
    lab.fill(calm.objects)
    queries = len(lab.aws.athena.executions)
    fault = lab.inject(kind, place)
    replies = list(ask_everything(lab))
    assert fault.hits > place
    lab.aws.faults.clear()
    refused = [reply for reply in replies if not is_fine(reply)]
    assert len(refused) <= 2 and all(is_refusal(reply) for reply in refused), refused
    if kind in PASSING and not calm.requests[place].startswith("lambda:"):  # a call of a function is not repeated
        assert not refused
    assert len(lab.aws.athena.executions) - queries <= 1, "the query ran twice"
    runs = [event for name, event in lab.aws.functions.held or [] if name == lab.name(RUN)]
    assert len(runs) <= 1, "the run was started twice"
    if any(reply.status == 202 and "run_id" in document(reply) for reply in replies):
        assert len(runs) == 1, "the run was lost"
    lab.aws.functions.held = []
    lab.lake.store.delete([info.key for info in lab.lake.store.list("results/runs/")])
    assert all(is_fine(reply) for reply in ask_everything(lab)), "and once it is over all is well"


# --- a fault that lasts -------------------------------------------------------------------------------------------


def run_with_a_lasting_fault(lab: Faulty, calm: Calm, kind: str, sort: str) -> None:
    lab.reset()
    lab.inject(kind, times=LASTING, when=lambda name: lab.sort_of(name) == sort)
    lab.schedule()
    lab.aws.faults.clear()
    letters, given_up = lab.dead_letters(), list(lab.aws.functions.given_up)
    assert Counter(letter["requestContext"]["functionArn"] for letter in letters) == Counter(given_up)
    for letter in letters:
        said = letter["responsePayload"]
        assert said["errorType"] in ERRORS and told({"code": said["errorType"], "message": said["errorMessage"]}), said
        assert letter["requestPayload"]
    if lab.name(SCHEDULED) in given_up and sort not in UNRECORDED:
        assert any(record.state == FAILED and told(record.error) for record in lab.records())
    lab.lease_over()
    assert lab.schedule() and lab.maintain()
    assert_all_is_well(lab, calm)


def ask_everything(lab: Faulty) -> Iterator[Reply]:
    """A crawl, the catalogue, a query with its rows and its file, and a run; each as a client asks for it."""
    yield lab.ask("POST", "/crawls")
    lab.aws.settle()
    yield lab.ask("GET", "/crawls/latest")
    yield lab.ask("GET", "/tables")
    started = lab.ask("POST", "/queries", {"sql": QUERY})
    yield started
    if started.status == 202:
        lab.aws.settle()
        query_id = document(started)["query_id"]
        yield lab.ask("GET", "/queries/{query_id}", query_id=query_id)
        yield lab.ask("GET", "/queries/{query_id}/rows", query_id=query_id)
        yield lab.ask("GET", "/queries/{query_id}/download", query_id=query_id)
    yield lab.ask("GET", "/queries")
    run = lab.ask("POST", "/runs", {})
    yield run
    yield lab.ask("GET", "/runs")


def document(reply: Reply) -> Any:
    return json.loads(reply.content)


def is_fine(reply: Reply) -> bool:
    return reply.status in (200, 202, 302)


def is_refusal(reply: Reply) -> bool:
    error = document(reply)["error"]
    return reply.status in (404, 409, 422, 500, 503) and error["code"] in REFUSALS and told(error)


# --- a sample, and everything -------------------------------------------------------------------------------------


def spread(calls: list[str], number: int, of: int) -> int:
    """The place of a first call of its sort, so that ``of`` numbers cover the sorts evenly."""
    places = list(firsts(tuple(calls)).values())
    return places[number * len(places) // of]


@pytest.mark.parametrize("number", range(10))
def test_a_fault_at_a_call_of_a_run_loses_and_doubles_nothing(number: int, lab: Faulty, calm: Calm) -> None:
    run_with_one_fault(lab, calm, KINDS[number % len(KINDS)], spread(calm.calls, number, 10))


@pytest.mark.parametrize("kind", ["missing", "conflict"])
def test_answers_that_could_not_be_written_are_not_taken_for_written(kind: str, lab: Faulty, calm: Calm) -> None:
    run_with_one_fault(lab, calm, kind, firsts(tuple(calm.calls))["s3:PUT raw/spotify/#.gz"])


@pytest.mark.parametrize("number", range(2))
def test_a_fault_at_a_call_of_maintenance_loses_and_doubles_nothing(number: int, lab: Faulty, calm: Calm) -> None:
    maintenance_with_one_fault(lab, calm, ("lost", "denied")[number], spread(calm.maintenance, number + 1, 4))


@pytest.mark.parametrize("number", range(3))
def test_a_fault_at_a_call_of_the_api_is_retried_or_one_clear_error(number: int, lab: Faulty, calm: Calm) -> None:
    kind = ("error", "lost", "denied")[number]
    requests_with_one_fault(lab, calm, kind, spread(calm.requests, number, 3))


@pytest.mark.parametrize("handler", [each.handler for each in FUNCTIONS if each.asynchronous])
def test_an_event_that_a_function_cannot_see_through_lies_where_an_alarm_looks(handler: str, lab: Faulty) -> None:
    lab.reset()
    key = {"import_history": "raw/history/u/Streaming_History_Audio_2023.json", "transform_run": "raw/runs/r.json"}
    place = {"bucket": {"name": lab.stage.names.bucket}, "object": {"key": key.get(handler, "raw/spotify/a.jsonl.gz")}}
    lab.inject("denied", times=LASTING)
    outcome = lab.aws.functions.see_through(lab.name(handler), {"Records": [{"s3": place}]})
    lab.aws.faults.clear()
    assert outcome.failed
    assert [letter["requestContext"]["functionArn"] for letter in lab.dead_letters()] == [lab.name(handler)]
    alarm = app_template(lab.stage.names, Options())["Resources"]["AlarmDeadLetters"]["Properties"]
    assert alarm["Dimensions"] == [{"Name": "QueueName", "Value": lab.queue.rpartition("/")[2]}]
    assert (alarm["MetricName"], alarm["Threshold"]) == ("ApproximateNumberOfMessagesVisible", 1)


@pytest.mark.parametrize("sort", ["secretsmanager:GetSecretValue", "glue:BatchCreatePartition"])
def test_a_fault_that_lasts_ends_in_the_record_and_one_dead_letter(sort: str, lab: Faulty, calm: Calm) -> None:
    run_with_a_lasting_fault(lab, calm, "denied", sort)


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_at_every_call_of_a_run_loses_and_doubles_nothing(kind: str, lab: Faulty, calm: Calm) -> None:
    places = enumerate(calm.calls)
    assert [fault for place, call in places for fault in tried(run_with_one_fault, lab, calm, kind, place, call)] == []


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_at_every_call_of_the_api_is_retried_or_one_clear_error(kind: str, lab: Faulty, calm: Calm) -> None:
    broken = []
    for place, call in enumerate(calm.requests):
        broken += tried(requests_with_one_fault, lab, calm, kind, place, call)
    assert broken == []


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_at_every_sort_of_call_of_maintenance_loses_nothing(kind: str, lab: Faulty, calm: Calm) -> None:
    broken = []
    for sort, place in firsts(tuple(calm.maintenance)).items():
        broken += tried(maintenance_with_one_fault, lab, calm, kind, place, sort)
    assert broken == []


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_a_timeout_at_every_sort_of_call_is_retried(lab: Faulty, calm: Calm) -> None:
    seconds = clients.READ_TIMEOUT + 0.5
    places = firsts(tuple(calm.calls)).items()
    broken = [
        fault
        for sort, place in places
        for fault in tried(run_with_one_fault, lab, calm, "timeout", place, sort, seconds)
    ]
    assert broken == []


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("kind", ["denied", "error"])
def test_a_lasting_fault_at_every_sort_of_call_is_told_and_mended(kind: str, lab: Faulty, calm: Calm) -> None:
    broken = []
    for sort in firsts(tuple(calm.calls)):
        broken += tried(run_with_a_lasting_fault, lab, calm, kind, sort, sort)
    assert broken == []


def tried(trial: Callable[..., None], lab: Faulty, calm: Calm, kind: str, at: Any, call: str, *more: Any) -> list[str]:
    """What went wrong, for a soak tells of every fault at once."""
    try:
        trial(lab, calm, kind, at, *more)
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1].lineno
        said = f"{trial.__name__} {kind} at {at} ({call}), line {where}: {type(error).__name__} {str(error)[:600]}"
        print(said, flush=True)
        return [said]
    finally:
        lab.aws.faults.clear()
    return []
