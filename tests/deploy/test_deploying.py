"""The deployment's parts that need neither AWS nor an emulation of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, cast

import pytest

from chalicelib.metrics import NAMESPACE, WATCHED
from chalicelib.schedule import at_most_daily
from chalicelib.tables import PHYSICAL
from deploy import costs, package
from deploy.checks import check_python
from deploy.elf import forget_needed
from deploy.errors import DeployFailed
from deploy.functions import BY_HANDLER, FUNCTIONS, PANDAS, PYARROW
from deploy.layers import Layer
from deploy.names import Names
from deploy.package import Package, check_sizes, imports_of, missing_imports
from deploy.policies import policies, policy
from deploy.refusals import REFUSALS, put_refusals
from deploy.stacks import BODY_LIMIT
from deploy.steps import LATE, period_hours
from deploy.template import Options, app_template, data_template
from tests.support import PROJECT

NAMES = Names("dev", "123456789012", "eu-central-1")


@pytest.mark.thorough
def test_the_templates_are_clean_to_cfn_lint_in_every_region(tmp_path: Path) -> None:
    files = []
    for name, template in (
        ("data", data_template(NAMES)),
        ("app", app_template(NAMES, Options(email="a@b.de"))),
    ):
        files.append(tmp_path / f"{name}.json")
        files[-1].write_text(json.dumps(template, indent=1))
    lint = shutil.which("cfn-lint", path=str(Path(sys.executable).parent))
    assert lint, "cfn-lint belongs to requirements-dev.txt"
    done = subprocess.run(
        [lint, "--include-checks", "I", "--regions", "ALL_REGIONS", "--", *map(str, files)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_the_templates_fit_what_cloudformation_takes() -> None:
    """Directly the data stack's, which makes the bucket; by way of the bucket (1 MB) the app's. Both may grow."""
    data, app = (len(json.dumps(each)) for each in (data_template(NAMES), app_template(NAMES, Options())))
    assert data < 46_000 < BODY_LIMIT == 51_200 and app < 500_000


def test_two_stages_share_no_name() -> None:
    other = Names("prod", NAMES.account, NAMES.region)
    ours = names_in(app_template(NAMES, Options())) | names_in(data_template(NAMES))
    theirs = names_in(app_template(other, Options())) | names_in(data_template(other))
    assert len(ours) > 15 and not ours & theirs
    for each in FUNCTIONS:
        assert NAMES.function(each.handler) != other.function(each.handler)
        text = json.dumps(policy(each, other))
        assert "spotify-lake-dev" not in text and "spotify_lake_dev" not in text and "${" not in text


def names_in(template: dict[str, Any]) -> set[str]:
    kinds = ("Name", "BucketName", "QueueName", "TopicName", "RoleName", "AlarmName", "DashboardName", "LogGroupName")
    return {
        str(r["Properties"][kind]) for r in template["Resources"].values() for kind in kinds if kind in r["Properties"]
    }


@pytest.mark.parametrize("stage", ["", "Dev", "1st", "a" * 13, "a_b", "../x"])
def test_a_stage_that_cannot_be_a_name_is_refused(stage: str) -> None:
    with pytest.raises(ValueError, match="stage"):
        Names(stage, "123456789012", "eu-central-1")


def test_a_bucket_name_fits_the_longest_region() -> None:
    assert len(Names("a" * 12, "123456789012", "ap-southeast-1").bucket) <= 63


def test_every_column_is_described_in_glue() -> None:
    resources = app_template(NAMES, Options())["Resources"].values()
    tables = {
        r["Properties"]["TableInput"]["Name"]: r["Properties"]["TableInput"]
        for r in resources
        if r["Type"] == "AWS::Glue::Table"
    }
    assert tables.keys() == PHYSICAL.keys()
    for table in tables.values():
        assert all(column["Comment"] for column in table["StorageDescriptor"]["Columns"])
        assert table["PartitionKeys"][0]["Name"] == "month"


def test_a_published_generation_survives_a_deployment() -> None:
    text = json.dumps(app_template(NAMES, Options(generation="g7")))
    assert "transformed/g7/tracks_history/" in text and "transformed/g1/" not in text


def test_every_function_of_the_app_has_its_policy_and_is_declared() -> None:
    from app import app

    named: list[Any] = [*app.event_sources, *app.pure_lambda_functions, *app.builtin_auth_handlers]
    handlers = {"api_handler", *(each.name for each in named)}
    assert handlers == set(BY_HANDLER)
    assert policies(NAMES).keys() == {each.policy for each in FUNCTIONS}


def test_no_policy_has_a_star_for_action_or_resource_but_tracing() -> None:
    for document in policies(NAMES, tracing=True).values():
        for statement in document["Statement"]:
            actions, found = listed(statement["Action"]), listed(statement["Resource"])
            assert not [action for action in actions if "*" in action]
            assert "*" not in found or statement["Sid"] == "TraceHasNoResources"


def test_where_secrets_are_parameters_each_function_may_touch_only_its_own() -> None:
    named = policies(NAMES, secrets_url="ssm:/lake/dev")
    rights = {
        name: {(action, each["Resource"].rpartition(":")[2]) for each in document["Statement"]
               for action in listed(each["Action"]) if action.startswith(("ssm:", "secretsmanager:"))}
        for name, document in named.items()
    }  # fmt: skip
    extraction = {
        ("ssm:GetParameter", "parameter/lake/dev/spotify/*"),
        ("ssm:PutParameter", "parameter/lake/dev/spotify/*"),
        ("ssm:GetParametersByPath", "parameter/lake/dev/spotify"),
    }
    inviting = {  # digests of invitations lie with the API's secrets, the login that comes back with Spotify's
        ("ssm:GetParameter", "parameter/lake/dev/api/*"),
        ("ssm:PutParameter", "parameter/lake/dev/api/*"),
        ("ssm:GetParametersByPath", "parameter/lake/dev/api"),
    }
    assert {name: found for name, found in rights.items() if found} == {
        "policy-bearer.json": {("ssm:GetParameter", "parameter/lake/dev/api/*")},
        "policy-api_handler.json": inviting | extraction,
        "policy-scheduled_extraction.json": extraction,
        "policy-run_extraction.json": extraction,
    }


def test_a_layer_of_somebody_elses_is_held_to_lambdas_limits_alone(tmp_path: Path) -> None:
    path = tmp_path / "layer.zip"
    path.write_bytes(b"")
    fits = Package(Path(), Path(), 1, 5_000_000, "")
    ours = Layer(PYARROW, path, "1", 210_000_000)
    check_sizes(fits, {PYARROW: replace(ours, arn="arn")})
    check_sizes(fits, {PYARROW: replace(ours, arn="arn"), PANDAS: replace(ours, arn="arn", kind=PANDAS)})  # the same
    for layers in ({PYARROW: ours}, {PYARROW: replace(ours, arn="arn", unzipped=260_000_000)}):
        with pytest.raises(DeployFailed, match="MB unpacked"):
            check_sizes(fits, layers)


def listed(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


def test_only_a_python_that_lambda_and_pyarrow_share_may_deploy() -> None:
    check_python((3, 12))
    check_python((3, 13))
    check_python((3, 14))
    for version in ((3, 11), (3, 15)):
        with pytest.raises(DeployFailed, match=r"3\.12, 3\.13 or 3\.14"):
            check_python(version)


def test_a_machine_that_lacks_several_things_is_told_all_of_them_at_once(tmp_path: Path) -> None:
    nobody = {"AWS_CONFIG_FILE": str(tmp_path / "none"), "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none")}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    ask = "import boto3; from deploy.checks import check_start; check_start(boto3.session.Session(), (3, 11))"
    done = subprocess.run(
        [sys.executable, "-c", ask],
        cwd=PROJECT, env={**kept, **nobody, "AWS_EC2_METADATA_DISABLED": "true"}, capture_output=True, text=True,
    )  # fmt: skip
    *_, python, region, credentials = done.stderr.strip().splitlines()
    assert "Python 3.12, 3.13 or 3.14" in python and "set AWS_REGION" in region and "AWS_PROFILE" in credentials


@pytest.mark.parametrize(("field", "size"), [("zipped", 15_000_001), ("unzipped", 200_000_001)])
def test_a_package_above_the_limits_is_refused(field: str, size: int) -> None:
    fits = Package(Path(), Path(), 1, 1, "")
    check_sizes(fits, {})
    with pytest.raises(DeployFailed, match="at most"):
        check_sizes(replace(fits, **{field: cast(Any, size)}), {})


def project(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_an_import_that_nobody_brings_is_found_wherever_it_stands(tmp_path: Path) -> None:
    task = project(
        tmp_path,
        app="",
        chalicelib__extraction__extract="import json\ndef f():\n    from chalicelib import deep\n",
        chalicelib__deep="def g():\n    import no_such_package.inner\n",
    )
    function = replace(BY_HANDLER["scheduled_extraction"], never=())
    assert missing_imports(function, task, [task]) == {"no_such_package.inner"}
    (task / "no_such_package").mkdir()
    assert missing_imports(function, task, [task]) == set()


def test_imports_for_types_or_in_a_try_do_not_count(tmp_path: Path) -> None:
    path = tmp_path / "m.py"
    path.write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import a\n"
        "try:\n    import b\nexcept ImportError:\n    b = None\nimport c\n"
    )
    assert set(imports_of(path)) == {"typing", "c"}


def test_a_laptops_modules_stay_on_the_laptop(tmp_path: Path) -> None:
    package.copy_app(tmp_path)
    there = {".".join(path.relative_to(tmp_path).with_suffix("").parts) for path in tmp_path.rglob("*.py")}
    assert "chalicelib.transformation.transform" in there and not any(map(package.is_laptop_only, there))
    known = {".".join(p.relative_to(PROJECT).with_suffix("").parts) for p in (PROJECT / "chalicelib").rglob("*.py")}
    assert all(name in known or f"{name}.__init__" in known for name in package.LAPTOP_ONLY), "a module that is no more"
    assert not list(tmp_path.rglob("__pycache__"))


def test_a_needed_library_is_forgotten_and_the_file_still_loads(tmp_path: Path) -> None:
    import pyarrow

    folder = Path(pyarrow.__file__).parent
    source = next(folder.glob("libarrow_python.so.*"), None)
    if source is None:
        pytest.skip("this build of pyarrow has no shared libraries of its own")
    copy = tmp_path / source.name
    shutil.copy(source, copy)
    assert "libarrow_substrait" in loaded_with(copy, folder)
    assert forget_needed(copy, "libarrow_substrait") and not forget_needed(copy, "libarrow_substrait")
    after = loaded_with(copy, folder)
    assert copy.name in after and "libarrow_substrait" not in after
    assert copy.stat().st_size == source.stat().st_size
    assert not forget_needed(project(tmp_path, x="1") / "x.py", "y")


def loaded_with(library: Path, beside: Path) -> str:
    """What a process has mapped that has loaded this library, whose needed ones are in the folder ``beside``."""
    program = f"import ctypes; ctypes.CDLL({str(library)!r}, mode=2); print(open('/proc/self/maps').read())"  # RTLD_NOW
    environ = {**os.environ, "LD_LIBRARY_PATH": str(beside)}
    done = subprocess.run([sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.parametrize(
    ("schedule", "hours"),
    [("rate(1 hour)", 1), ("rate(15 minutes)", 0.25), ("rate(7 days)", 168), ("cron(0 3 * * ? *)", 24)],
)
def test_a_run_is_late_after_three_periods_of_its_schedule(schedule: str, hours: float) -> None:
    assert period_hours(schedule) == pytest.approx(hours)
    template = app_template(NAMES, Options(late_hours=LATE * hours))
    alarm = template["Resources"]["AlarmLateRun"]["Properties"]
    seconds = alarm["Period"] * alarm["EvaluationPeriods"]
    assert alarm["MetricName"] == "SuccessfulRuns" and alarm["Threshold"] == 1
    assert min(3600 * max(1, LATE * hours), 7 * 86_400) <= seconds <= 7 * 86_400
    assert alarm["Period"] % 3600 == 0 and alarm["Period"] <= 86_400  # what CloudWatch takes
    assert alarm["InsufficientDataActions"] == alarm["AlarmActions"]  # told when the runs cease, not before the first


def test_an_alarm_reads_every_metric_that_is_paid_for() -> None:
    resources = app_template(NAMES, Options())["Resources"].values()
    alarms = [each["Properties"] for each in resources if each["Type"] == "AWS::CloudWatch::Alarm"]
    assert {each["MetricName"] for each in alarms if each.get("Namespace") == NAMESPACE} == WATCHED
    every = [metric for each in alarms for metric in each.get("Metrics", [each]) if "Expression" not in metric]
    assert len(every) == costs.ALARM_METRICS and len(WATCHED) == costs.CUSTOM_METRICS


def test_every_function_that_fails_for_good_is_told_of() -> None:
    """By the dead letters where its event is asynchronous, by an alarm of its own where somebody waits for it."""
    resources = app_template(NAMES, Options())["Resources"]
    watched = json.dumps(resources["AlarmErrors"])
    for function in FUNCTIONS:
        assert function.asynchronous or f'"{NAMES.function(function.handler)}"' in watched


def test_an_answer_of_500_or_more_is_told_of_whoever_gives_it() -> None:
    """API Gateway counts them, those that the function handles too, under the name that Chalice gives the API."""
    (alarm,) = (
        each["Properties"]
        for each in app_template(NAMES, Options())["Resources"].values()
        if each["Properties"].get("MetricName") == "5XXError"
    )
    assert alarm["Namespace"] == "AWS/ApiGateway" and alarm["Threshold"] == 1
    assert alarm["Dimensions"] == [{"Name": "ApiName", "Value": NAMES.app}]
    assert alarm["AlarmActions"] == [{"Ref": "Alarms"}] and alarm["TreatMissingData"] == "notBreaching"


def test_only_this_accounts_crawler_may_take_the_crawlers_role() -> None:
    role = app_template(NAMES, Options())["Resources"]["CrawlerRole"]["Properties"]
    (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": NAMES.account}}


@pytest.mark.parametrize("key", ["choices.json", "chalice.json", "done.json", "lock.json", "template.json"])
def test_no_function_may_write_what_the_next_deployment_reads(key: str) -> None:
    for function in FUNCTIONS:
        statements = policy(function, NAMES)["Statement"]
        for action in ("s3:PutObject", "s3:DeleteObject"):
            assert not permits(statements, action, f"{NAMES.bucket_arn}/state/deploy/{key}"), function.handler
            assert not permits(statements, action, f"{NAMES.bucket_arn}/state/generation.json"), function.handler
    writer = policy(BY_HANDLER["transform"], NAMES)["Statement"]
    assert permits(writer, "s3:PutObject", f"{NAMES.bucket_arn}/state/transforms/g1/done/x.json")


def permits(statements: list[dict[str, Any]], action: str, resource: str) -> bool:
    """As IAM decides: a Deny beats every Allow."""
    told = [
        statement["Effect"]
        for statement in statements
        if action in listed(statement["Action"])
        and any(fnmatchcase(resource, pattern) for pattern in listed(statement["Resource"]))
    ]
    return "Allow" in told and "Deny" not in told


@pytest.mark.parametrize(
    ("schedule", "runs"),
    [
        ("rate(1 hour)", 730),
        ("rate(15 minutes)", 2920),
        ("rate(7 days)", 730 / 168),
        ("cron(0 3,15 * * ? *)", 730 / 12),
        ("cron(0 3 1 * ? *)", 1),
    ],
)
def test_costs_follow_the_schedule(schedule: str, runs: float) -> None:
    assert costs.runs_a_month(schedule) == pytest.approx(runs, rel=0.01)
    assert sum(costs.estimate(costs.Use(runs)).values()) < 9


@pytest.mark.parametrize(
    ("schedule", "looks"),
    [
        ("rate(15 minutes)", "rate(15 minutes)"),
        ("rate(1 hour)", "rate(1 hour)"),
        ("rate(36 hours)", "rate(1 day)"),
        ("rate(7 days)", "rate(1 day)"),
        ("cron(0 3 ? * MON *)", "rate(1 day)"),
    ],
)
def test_the_lake_is_looked_after_once_a_day_however_seldom_it_is_filled(schedule: str, looks: str) -> None:
    assert at_most_daily(schedule) == looks


def test_the_costs_in_the_documentation_are_the_ones_worked_out() -> None:
    text = (PROJECT / "docs" / "deploy.md").read_text()
    one, many = costs.estimate(costs.ONE_LISTENER), costs.estimate(costs.MANY_PLAYLISTS)
    for name in one:
        assert f" | {one[name]:.2f} | {many[name]:.2f} |" in text, name
    assert f"**{sum(one.values()):.2f}** | **{sum(many.values()):.2f}**" in text
    assert f"| {costs.ONE_LISTENER.run_seconds:.1f} s | {costs.MANY_PLAYLISTS.run_seconds:.0f} s |" in text


def test_the_gateways_refusals_are_put_once_and_again_when_chalice_has_overwritten_them() -> None:
    class Gateway:
        def __init__(self) -> None:
            self.items: list[dict[str, Any]] = [{"responseType": "UNAUTHORIZED", "defaultResponse": True}]
            self.deployed = 0

        def get_gateway_responses(self, **asked: Any) -> dict[str, Any]:
            first = [each for each in self.items if each["responseType"] < "M"]
            rest = [each for each in self.items if each not in first]
            return {"items": rest} if "position" in asked else {"items": first, "position": "2"}

        def put_gateway_response(self, restApiId: str, **wanted: Any) -> None:  # noqa: N803
            kept = [each for each in self.items if each["responseType"] != wanted["responseType"]]
            self.items = [*kept, {**wanted, "defaultResponse": False}]

        def create_deployment(self, **_: Any) -> None:
            self.deployed += 1

    gateway = Gateway()
    assert put_refusals(gateway, "a", "") == len(REFUSALS) and gateway.deployed == 1
    assert put_refusals(gateway, "a", "") == 0 and gateway.deployed == 1
    assert put_refusals(gateway, "a", "https://lake.example") == len(REFUSALS) and gateway.deployed == 2
    for each in gateway.items:
        error = json.loads(each["responseTemplates"]["application/json"])["error"]
        assert error.keys() == {"code", "message", "details"}
        assert "gatewayresponse.header.Access-Control-Allow-Origin" in each["responseParameters"]
