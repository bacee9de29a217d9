"""When the alarms speak: what the functions log of runs, beside the alarms that are deployed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chalicelib import handlers
from chalicelib.clock import now
from chalicelib.metrics import NAMESPACE
from chalicelib.spotify import auth
from chalicelib.stores import open_secrets
from chalicelib.wiring import Parts
from deploy.functions import FUNCTIONS
from deploy.names import Names
from deploy.template import Options, app_template
from sandbox.server import Sandbox
from tests.emulator.alarms import ALARM, NO_DATA, OK, Alarm, CloudWatch

NAMES = Names("dev", "123456789012", "eu-central-1")
LATE_HOURS = 3


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(mode="development", scale="small") as running:
        yield running


@pytest.fixture
def environ(tmp_path: Path, sandbox: Sandbox) -> dict[str, str]:
    """A stage's, of which nobody has said yet which app is its own."""
    return {
        "LAKE_URL": str(tmp_path / "lake"), "SECRETS_URL": str(tmp_path / "secrets"), "LAKE_STAGE": NAMES.base,
        "SPOTIFY_API_URL": sandbox.api_url.rstrip("/"), "SPOTIFY_ACCOUNTS_URL": sandbox.accounts_url,
    }  # fmt: skip


@pytest.fixture
def hours(environ: dict[str, str], capsys: pytest.CaptureFixture[str]) -> Callable[..., CloudWatch]:
    """Hours in each of which the schedule fires, of the sources told. What a function raises fails the test: it would
    end as a dead letter, which has an alarm of its own."""
    watch = CloudWatch(app_template(NAMES, Options(late_hours=LATE_HOURS)), NAMESPACE)

    def pass_hours(count: int, *sources: str, fires: bool = True) -> CloudWatch:
        for _ in range(count):
            capsys.readouterr()
            if fires:
                handlers.extract(Parts(environ, None), "schedule", None, {"sources": list(sources)} if sources else {})
            watch.an_hour_passes(capsys.readouterr().out.splitlines())
        return watch

    return pass_hours


def configure(environ: dict[str, str], sandbox: Sandbox) -> None:
    environ |= {"SPOTIPY_CLIENT_ID": sandbox.client_id, "SPOTIPY_CLIENT_SECRET": sandbox.client_secret}


def log_in(environ: dict[str, str], sandbox: Sandbox) -> None:
    settings, listener = Parts(environ, None).settings, sandbox.world.default_listener
    scope = " ".join(auth.SCOPES)
    reply = {
        "access_token": sandbox.access_token(listener.id),
        "refresh_token": sandbox.refresh_token(listener.id, scope),
        "scope": scope,
        "expires_in": 3600,
    }
    auth.remember(settings, open_secrets(settings), reply, now(), now)


@pytest.mark.thorough
def test_no_alarm_speaks_before_the_first_login(
    environ: dict[str, str], sandbox: Sandbox, hours: Callable[..., CloudWatch]
) -> None:
    assert hours(2 * LATE_HOURS).trouble() == {}
    configure(environ, sandbox)
    watch = hours(2 * LATE_HOURS, "recently_played")
    assert watch.trouble() == {}
    assert watch.alarms["laterun"].state == watch.alarms["authorization"].state == NO_DATA
    log_in(environ, sandbox)
    hours(1, "recently_played")
    assert watch.trouble() == {}
    assert watch.alarms["laterun"].state == watch.alarms["authorization"].state == OK


@pytest.mark.thorough
def test_from_the_first_login_on_late_runs_and_none_at_all_are_told(
    environ: dict[str, str], sandbox: Sandbox, hours: Callable[..., CloudWatch]
) -> None:
    configure(environ, sandbox)
    log_in(environ, sandbox)
    late = hours(LATE_HOURS, "recently_played").alarms["laterun"]
    assert late.told == [OK]
    sandbox.accounts.revoke(sandbox.world.default_listener.id)
    hours(LATE_HOURS - 1, "recently_played")
    assert late.told == [OK]
    hours(1, "recently_played")
    assert late.told == [OK, ALARM]
    log_in(environ, sandbox)
    hours(1, "recently_played")
    assert late.told == [OK, ALARM, OK]
    hours(LATE_HOURS - 1, fires=False)
    assert late.told == [OK, ALARM, OK]
    hours(1, fires=False)
    assert late.told == [OK, ALARM, OK, NO_DATA]


def test_only_throttles_that_somebody_waits_for_are_told() -> None:
    """An event that is throttled waits and is tried again, as the first run's dozens of objects are in an account that
    may run ten functions at once."""
    resources: dict[str, Any] = app_template(NAMES, Options())["Resources"]
    watched = {
        dimension["Value"]
        for metric in resources["AlarmThrottles"]["Properties"]["Metrics"] if "MetricStat" in metric
        for dimension in metric["MetricStat"]["Metric"]["Dimensions"]
    }  # fmt: skip
    served = {NAMES.function(function.handler) for function in FUNCTIONS if not function.asynchronous}
    assert watched and watched < served


@pytest.mark.parametrize(
    ("treat", "points", "state"),
    [
        ("missing", [None, None], NO_DATA), ("ignore", [None, None], OK), ("breaching", [None, None], ALARM),
        ("notBreaching", [None, None], OK), ("missing", [0, None], ALARM), ("missing", [1, 0], OK),
        ("missing", [0, 0], ALARM), ("notBreaching", [0, None], OK), ("breaching", [0, None], ALARM),
        ("ignore", [0, None], OK), ("breaching", [1, None], OK),
    ],
)  # fmt: skip
def test_the_emulations_alarms_treat_missing_data_as_the_guide_says(
    treat: str, points: list[float | None], state: str
) -> None:
    properties = {
        "Period": 3600, "EvaluationPeriods": 2, "Statistic": "Sum", "Threshold": 1, "TreatMissingData": treat,
        "ComparisonOperator": "LessThanThreshold",
    }  # fmt: skip
    values = [(3600 * hour, value) for hour, value in enumerate(points, 1) if value is not None]
    assert Alarm("A", properties, state=OK).judged(values, 7200) == state
