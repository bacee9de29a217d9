"""A deployment, step by step. Each step looks at what is there first, so that running again changes nothing more,
and mends what an interrupted one left."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from chalicelib.clock import now
from chalicelib.lake import Lake
from chalicelib.schedule import next_time
from chalicelib.settings import Settings
from chalicelib.stores.aws import configured
from chalicelib.stores.s3 import BucketStore
from chalicelib.tables import Column
from deploy import costs, layers, package, record, secret_stores, stacks
from deploy.budget import put_budget, remove_budget
from deploy.checks import Account, bucket_exists, check_account, check_python, check_settings
from deploy.errors import DeployFailed
from deploy.functions import FUNCTIONS, PANDAS, PYARROW
from deploy.layers import PROJECT
from deploy.names import Names
from deploy.refusals import put_refusals
from deploy.template import Options, app_template, data_template
from deploy.throttle import put_throttle

CHALICE = "import sys; from chalice.cli import main; sys.exit(main())"
CHALICE_SECONDS = 900  # s that `chalice deploy` may take
NO_DEPENDENCIES = "Could not install dependencies"  # Chalice says so, exits 0, and has deployed a broken zip
RETRIES, EVENT_AGE = 2, 6 * 3600  # of an asynchronous event: Lambda's most retries, and s
SECRET_SETTINGS = ("spotipy_client_id", "spotipy_client_secret", "api_token")
OF_THE_STAGE = ("lake_url", "secrets_url", "athena_workgroup", "glue_database", "glue_crawler", "extract_function",
                "transform_function", "result_function", "lake_stage")  # fmt: skip
APP_SECRET = "spotify-app"
CRAWL_LOGS = "/aws-glue/crawlers"
VIEW_SECONDS = 120.0  # s that making all views may take; they are fewer than Athena's 20 DDL queries at once
LATE = 3  # times the schedule's period without a successful run that raise the alarm

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Choices:
    """What a person may choose for a stage. The lake remembers it, so that what is not said again stays as it was."""

    email: str = ""
    budget_usd: float = 10.0
    log_days: int = 30
    tracing: bool = False
    pyarrow_layer: str = ""
    pandas_layer: str = ""
    secrets_url: str = ""


class Deployment:
    """One stage's deployment. ``chosen`` are the fields of Choices that are said now; ``force`` deploys even what has
    not changed; ``say`` gets a line for each thing that was done."""

    def __init__(
        self,
        stage: str,
        session: Any,
        settings: Settings,
        *,
        chosen: Mapping[str, Any] | None = None,
        force: bool = False,
        say: Say = print,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.stage = stage
        self.session = session
        self.settings = settings
        self.chosen = chosen or {}
        self.force = force
        self.say = say
        self.sleep = sleep
        self._imports_checked = False
        self._copied: dict[str, str] | None = None  # secrets that were copied to another store, by name

    # --- the commands ---------------------------------------------------------------------------------------------

    def check(self) -> package.Package:
        """Say what would be made, how large it is and what it costs. Makes nothing in AWS."""
        names = self.account.names
        self.say(f"stage {names.stage} in account {names.account}, {names.region}, as {self.account.who}")
        for line in self._as_last_time():
            self.say(line)
        built = self._build({kind: f"arn:of:{kind}" for kind in layers.CONTENTS})
        self.say(
            f"zip {built.zipped / 1e6:.1f} MB ({built.unzipped / 1e6:.0f} MB unpacked); layers "
            + ", ".join(f"{each.kind} {each.zipped / 1e6:.1f} MB" for each in self._layers.values())
        )
        made = len(app_template(names, Options())["Resources"]) + len(data_template(names)["Resources"])
        self.say(f"{len(FUNCTIONS)} functions with a role each, an API, and {made} resources in two stacks")
        if not layers.can_try():
            self.say(
                f"note: not tried here: this machine ({sys.platform}, {platform.machine()}) cannot load what Lambda"
                " loads; libraries are checked by their headers, imports by their names"
            )
        use = costs.Use(costs.runs_a_month(self.settings.extract_schedule))
        for line in costs.told(costs.estimate(use, secrets=0 if self.choices.secrets_url else 2)):
            self.say(f"  {line}")
        for line in check_settings(self.settings):
            self.say(f"note: {line}")
        return built

    def up(self) -> str:
        """Deploy; answers the API's address."""
        self.check()
        with self._locked():
            url = self._deploy()
        self._tell(url)
        return url

    def prepare(self) -> None:
        """Make all that `chalice deploy` in the project itself needs, and write the stage into its ``.chalice``."""
        self.check()
        names = self.account.names
        with self._locked():
            arns = self._make_what_functions_need()
            with step("the record of what is deployed"):
                record.fetch(PROJECT, names, self.store, self.session)
            changed = package.configure_project(
                names, self._environment(), arns, reserve=self.account.can_reserve, tracing=self.choices.tracing,
                secrets_url=self.choices.secrets_url,
            )  # fmt: skip
        self.say(f"{changed.relative_to(PROJECT)}: stage {names.stage} written, with this account's names")
        self.say(f"now: chalice deploy --stage {names.stage}, then: python -m deploy finish --stage {names.stage}")

    def finish(self) -> str:
        """After `chalice deploy` in the project itself: keep its record, and make what Chalice does not."""
        names = self.account.names
        with self._locked():
            with step("the record of what is deployed"):
                url = record.api_url(record.keep(PROJECT, names, self.store))
                self._note_done(digest=None)
            self._complete(self._publish_layers())
        self._tell(url)
        return url

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """The data stack made, and nobody else at it."""
        names = self.account.names
        with step("the data stack"):
            self._stack(names.data_stack, data_template(names))
        with ExitStack() as held:
            with step("the lock in the lake"):
                held.enter_context(record.deploying(self.store))
                if "secrets_url" not in self._done():  # where they are, by the choices of last time
                    self._note_done(secrets_url=self._url_of(record.choices(self.store).get("secrets_url", "")))
                record.remember(self.store, asdict(self.choices))
            yield

    def down(self, *, data: bool = False) -> None:
        """Remove the stage; its data too if told so. Whatever is already gone is passed over."""
        names = self.account.names
        secrets_url = self.secrets_url  # the bucket remembers it
        if self._bucket_exists():
            with record.deploying(self.store):
                self._remove_functions()
                self.store.delete([record.RECORD, record.DONE])
        else:
            self._remove_functions(stored=False)
        with step("the layers"):
            self.say(f"layers: {layers.remove(names, self.session.client('lambda'))} versions removed")
        with step("the stack"):
            gone = stacks.delete(self.session.client("cloudformation"), names.stack, sleep=self.sleep)
            self.say(f"stack {names.stack}: {'removed' if gone else 'was not there'}")
        with step("the budget"):
            gone = remove_budget(self.session.client("budgets"), names)
            self.say(f"budget {names.base}: {'removed' if gone else 'was not there'}")
        if data:
            self._remove_data(secrets_url)
        else:
            self.say(f"the data stays: bucket {names.bucket} and {secrets_url} (down --data removes them)")

    # --- what they are made of ------------------------------------------------------------------------------------

    def _deploy(self) -> str:
        arns = self._make_what_functions_need()
        with step("the package"):
            built = self._build(arns)
        with step("chalice deploy"):
            url = self._chalice_deploy(built)
        self._complete(arns)
        return url

    def _make_what_functions_need(self) -> dict[str, str]:
        """Layers, the app stack and the views; answers the layers' ARNs by kind.

        New functions may put files where only new views look for them; files of old functions new views find too.
        """
        names = self.account.names
        with step("the secrets"):
            self._bring_secrets()
        with step("the layers"):
            arns = self._publish_layers()
        with step("the stack"):
            self._stack(names.stack, app_template(names, self._options()), upload=self._upload_template)
        with step("the views"):
            self._make_views()
        return arns

    def _complete(self, arns: dict[str, str]) -> None:
        """What Chalice does not make, around the functions that it has made."""
        names = self.account.names
        with step("what the API's gateway says itself"):
            self._put_refusals()
        with step("how much the API takes at once"):
            self._put_throttle()
        with step("the secrets"):
            self._leave_secrets()
        with step("what becomes of failed events"):
            self._dead_letter()
        with step("old layer versions"):
            layers.remove(names, self.session.client("lambda"), keep=arns.values())
        with step("the Spotify app's credentials"):
            self._store_credentials()
        with step("the budget"):
            done = put_budget(self.session.client("budgets"), names, self.choices.budget_usd)
            self.say(f"budget of {self.choices.budget_usd:g} USD a month: {done}")
        with step("the partitions"):
            self._register_partitions()

    @cached_property
    def account(self) -> Account:
        check_python()
        return check_account(self.stage, self.session)

    @cached_property
    def choices(self) -> Choices:
        """What is said now over what was said last time. Raises DeployFailed for a place where secrets cannot be."""
        last = record.choices(self.store) if self._bucket_exists() else {}
        known = {each.name for each in fields(Choices)}
        choices = Choices(**{name: value for name, value in {**last, **self.chosen}.items() if name in known})
        if choices.secrets_url and not choices.secrets_url.startswith("ssm:/"):
            raise DeployFailed(
                f"--secrets-url {choices.secrets_url} must be ssm:/PATH, such as ssm:/{self.account.names.base}"
            )
        return choices

    def _as_last_time(self) -> Iterator[str]:
        """A line for each choice that is not said now and is not the default."""
        for each in fields(Choices):
            value = getattr(self.choices, each.name)
            if each.name not in self.chosen and value != each.default:
                yield f"as last time: {each.name.replace('_', ' ')} {value}"

    @cached_property
    def store(self) -> BucketStore:
        s3 = self.session.client("s3", config=configured("s3"))
        return BucketStore(self.account.names.bucket, s3=lambda: s3)

    @cached_property
    def _layers(self) -> dict[str, layers.Layer]:
        """By kind: somebody else's where one is chosen, built here where none is."""
        given = {PYARROW: self.choices.pyarrow_layer, PANDAS: self.choices.pandas_layer}
        client = self.session.client("lambda")
        found = layers.build_layers(kind for kind, arn in given.items() if not arn)
        for kind, arn in given.items():
            if arn:
                with step(f"the {kind} layer"):
                    found[kind] = layers.fetch_layer(kind, arn, client)
        return found

    @property
    def secrets_url(self) -> str:
        """Where the stage's secrets are to be."""
        return self._url_of(self.choices.secrets_url)

    def _url_of(self, chosen: str) -> str:
        return chosen or f"secretsmanager:{self.account.names.secret}"

    def _environment(self) -> dict[str, str]:
        """The functions' settings: the stage's own, and what the deployer's environment says but secrets."""
        names = self.account.names
        own = {
            "LAKE_URL": names.lake_url,
            "SECRETS_URL": self.secrets_url,
            "ATHENA_WORKGROUP": names.workgroup,
            "GLUE_DATABASE": names.database,
            "GLUE_CRAWLER": names.crawler,
            "EXTRACT_FUNCTION": names.function("run_extraction"),
            "TRANSFORM_FUNCTION": names.function("transform"),
            "RESULT_FUNCTION": names.function("result_file"),
            "LAKE_STAGE": names.base,
        }
        default = Settings()
        given = {
            each.name.upper(): str(getattr(self.settings, each.name))
            for each in fields(Settings)
            if each.name not in (*SECRET_SETTINGS, *OF_THE_STAGE)
            and getattr(self.settings, each.name) != getattr(default, each.name)
        }
        return {**given, "EXTRACT_SCHEDULE": self.settings.extract_schedule, **own}

    def _options(self) -> Options:
        return Options(
            log_days=self.choices.log_days,
            email=self.choices.email,
            late_hours=LATE * period_hours(self.settings.extract_schedule),
            generation=Lake(self.store).generation(),
        )

    def _stack(self, name: str, template: dict[str, Any], **more: Any) -> None:
        names = self.account.names
        client = self.session.client("cloudformation")
        tags = {"app": names.app, "stage": names.stage}
        self.say(f"stack {name}: {stacks.ensure(client, name, template, tags, sleep=self.sleep, **more)}")

    def _upload_template(self, body: bytes) -> str:
        names = self.account.names
        key = "state/deploy/template.json"
        self.store.write(key, body, content_type="application/json")
        return f"https://{names.bucket}.s3.{names.region}.{names.domain}/{key}"

    @cached_property
    def _staged(self) -> package.Package:
        return package.stage_code(self.account.names)

    def _build(self, arns: dict[str, str]) -> package.Package:
        built = package.configured(
            self._staged, self.account.names, self._environment(), arns,
            reserve=self.account.can_reserve, tracing=self.choices.tracing, secrets_url=self.choices.secrets_url,
        )  # fmt: skip
        package.check_sizes(built, self._layers)
        if not self._imports_checked:  # names of layers do not change what is in them
            package.check_imports(built, self._layers)
            self._imports_checked = True
        return built

    def _publish_layers(self) -> dict[str, str]:
        arns = {}
        for kind, layer in self._layers.items():
            arn, new = layer.arn, False
            if not arn:
                arn, new = layers.publish(layer, self.account.names, self.session.client("lambda"))
            self.say(f"layer {kind}: {'published' if new else 'unchanged'} ({arn})")
            arns[kind] = arn
        return arns

    def _chalice_deploy(self, built: package.Package) -> str:
        names = self.account.names
        done = self._done()
        held = record.fetch(built.folder, names, self.store, self.session)
        if done.get("digest") == built.digest and not self.force and record.api_url(held):
            self.say("functions and API: unchanged")
            return record.api_url(held)
        self._note_done(digest=None)
        run_chalice("deploy", built.folder, names, self.session)
        url = record.api_url(record.keep(built.folder, names, self.store))
        self._note_done(digest=built.digest)
        self.say(f"functions and API: deployed ({url})")
        return url

    def _done(self) -> dict[str, Any]:
        done: dict[str, Any] = json.loads(self.store.read(record.DONE)) if self.store.stat(record.DONE) else {}
        return done

    def _note_done(self, **what: Any) -> None:
        self.store.write(record.DONE, json.dumps(self._done() | what).encode(), content_type="application/json")

    def _put_refusals(self) -> None:
        api_id = record.api_id(json.loads(self.store.read(record.RECORD)))
        changed = put_refusals(self.session.client("apigateway"), api_id, self.settings.cors_origin)
        self.say(f"the gateway's own refusals: {f'{changed} put' if changed else 'unchanged'}")

    def _dead_letter(self) -> None:
        """Whatever an event's function fails at three times ends in the dead-letter queue with its reason."""
        names, client = self.account.names, self.session.client("lambda")
        wanted = {"OnFailure": {"Destination": names.dead_letters_arn}}
        for function in FUNCTIONS:
            if not function.asynchronous:
                continue
            name = names.function(function.handler)
            if self._destination(client, name) != names.dead_letters_arn:
                client.put_function_event_invoke_config(
                    FunctionName=name, MaximumRetryAttempts=RETRIES, MaximumEventAgeInSeconds=EVENT_AGE,
                    DestinationConfig=wanted,
                )  # fmt: skip
                self.say(f"{function.handler}: failed events go to {names.dead_letters}")

    def _destination(self, client: Any, name: str) -> str:
        try:
            held = client.get_function_event_invoke_config(FunctionName=name)
        except client.exceptions.ResourceNotFoundException:
            return ""
        return str(held.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination", ""))

    def _put_throttle(self) -> None:
        api_id = record.api_id(json.loads(self.store.read(record.RECORD)))
        changed = put_throttle(self.session.client("apigateway"), api_id)
        self.say(f"the API's throttle: {'put' if changed else 'unchanged'}")

    def _bring_secrets(self) -> None:
        """The place where secrets are to be made, and what is in another one copied there. The functions go on with the
        other one until they are deployed."""
        made = secret_stores.make(self.secrets_url, self.account.names, self.session)
        self.say(f"secrets in {self.secrets_url}: {f'{made} made' if made else 'unchanged'}")
        before = self._done()["secrets_url"]
        if before != self.secrets_url:
            source, target = (secret_stores.store_at(url, self.session) for url in (before, self.secrets_url))
            self._copied = secret_stores.copy(source, target, self.secrets_url)
            self.say(f"secrets of {before}: {len(self._copied)} copied")

    def _leave_secrets(self) -> None:
        """Once the functions use the new place: copy what has changed meanwhile, and remove the old one."""
        before = self._done()["secrets_url"]
        if before == self.secrets_url:
            return
        source, target = (secret_stores.store_at(url, self.session) for url in (before, self.secrets_url))
        secret_stores.copy(source, target, self.secrets_url, self._copied)
        self._note_done(secrets_url=self.secrets_url)
        secret_stores.remove(before, self.account.names, self.session, self.say)

    def _store_credentials(self) -> None:
        """The Spotify app's credentials go from .env to the stage's secret, never into an environment."""
        if not (self.settings.spotipy_client_id and self.settings.spotipy_client_secret):
            return
        held = {"client_id": self.settings.spotipy_client_id, "client_secret": self.settings.spotipy_client_secret}
        secrets = secret_stores.store_at(self.secrets_url, self.session)
        text = json.dumps(held)
        if secrets.read(APP_SECRET) != text:
            secrets.write(APP_SECRET, text)
            self.say("the Spotify app's credentials: stored")

    def _make_views(self) -> None:
        from chalicelib.views import physical_tables, user_tables, views

        listed = list(views())
        digest = digest_of_views(listed, {**user_tables(), **physical_tables()})
        if self._done().get("views") == digest and not self.force:
            self.say(f"views: unchanged ({len(listed)})")
            return
        self._run_statements([f"CREATE OR REPLACE VIEW {name} AS {sql}" for name, sql in listed])
        self._note_done(views=digest)
        self.say(f"views: {len(listed)} made")

    def _run_statements(self, statements: list[str]) -> None:
        """Run DDL statements in Athena side by side, within VIEW_SECONDS. Raises DeployFailed for the first to fail."""
        names, athena = self.account.names, self.session.client("athena")
        context = {"Database": names.database}
        left = {
            athena.start_query_execution(QueryString=sql, WorkGroup=names.workgroup, QueryExecutionContext=context)[
                "QueryExecutionId"
            ]: sql
            for sql in statements
        }
        waited, pause = 0.0, 0.2
        while left:
            answer = athena.batch_get_query_execution(QueryExecutionIds=sorted(left))
            for execution in answer["QueryExecutions"]:
                status = execution["Status"]
                if status["State"] in ("FAILED", "CANCELLED"):
                    sql = left[execution["QueryExecutionId"]]
                    raise DeployFailed(f"{sql[:60]}…: {status.get('StateChangeReason', status['State'])}")
                if status["State"] == "SUCCEEDED":
                    left.pop(execution["QueryExecutionId"])
            if left and waited > VIEW_SECONDS:
                raise DeployFailed(f"{next(iter(left.values()))[:60]}… takes longer than {VIEW_SECONDS:g} s")
            self.sleep(pause)
            waited, pause = waited + pause, min(pause * 1.5, 2.0)

    def _register_partitions(self) -> None:
        """Partitions of data that is there already, and the first crawl.

        Which generation of the tables is in force is written down here: functions read it and may not write it.
        """
        from chalicelib.queries.athena.glue import GlueTables

        names, glue = self.account.names, self.session.client("glue")
        if end_logs_of_crawls(self.session.client("logs"), self.choices.log_days):
            self.say(f"logs of crawls: kept {self.choices.log_days} days")
        lake = Lake(self.store)
        lake.name_generation()
        added = GlueTables(names.database, lake, glue=glue).register_all()
        self.say(f"partitions: {len(added)} registered")
        if not self._done().get("crawled"):
            with suppress(glue.exceptions.CrawlerRunningException):
                glue.start_crawler(Name=names.crawler)
            self._note_done(crawled=True)
            self.say("the first crawl has begun: GET /crawls/latest shows it")

    def _tell(self, url: str) -> None:
        self.say(f"\nThe API: {url}")
        self.say("\nFor the commands of this lake, its login and its tokens:")
        for name, value in sorted({**self._environment(), "AWS_REGION": self.account.names.region}.items()):
            if name in ("LAKE_URL", "SECRETS_URL", "ATHENA_WORKGROUP", "GLUE_DATABASE", "GLUE_CRAWLER",
                        "EXTRACT_FUNCTION", "AWS_REGION"):  # fmt: skip
                self.say(f"  export {name}={value}")
        self.say("  .venv/bin/lake login                     # a listener's authorisation, stored in AWS")
        self.say("  .venv/bin/lake token add --name NAME --scope run   # a token for the API, shown this once")

    # --- removing -------------------------------------------------------------------------------------------------

    def _remove_functions(self, *, stored: bool = True) -> None:
        names = self.account.names
        folder = layers.BUILD / names.stage
        if stored:
            held = record.fetch(folder, names, self.store, self.session)
        else:
            found = list(record.discover(names, self.session))
            held = {"resources": found, "schema_version": "2.0", "backend": "api"}
            path = folder / ".chalice" / "deployed" / f"{names.stage}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(held))
        if not held["resources"]:
            self.say("functions and API: were not there")
            return
        with step("chalice delete"):
            if not (folder / "app.py").exists():
                self._build({kind: f"arn:of:{kind}" for kind in layers.CONTENTS})
            run_chalice("delete", folder, names, self.session)
        self.say("functions and API: removed")

    def _bucket_exists(self) -> bool:
        return bucket_exists(self.session.client("s3"), self.account.names.bucket)

    def _remove_data(self, secrets_url: str) -> None:
        names = self.account.names
        with step("the data stack"):
            stacks.delete(self.session.client("cloudformation"), names.data_stack, sleep=self.sleep)
        with step("the bucket"):
            if self._bucket_exists():
                count = empty_bucket(self.session.client("s3"), names.bucket)
                self.session.client("s3").delete_bucket(Bucket=names.bucket)
                self.say(f"bucket {names.bucket}: removed with {count} objects and versions")
        with step("the secrets"):
            for url in dict.fromkeys([secrets_url, self._url_of("")]):
                secret_stores.remove(url, names, self.session, self.say)


def end_logs_of_crawls(logs: Any, days: int) -> bool:
    """Let the logs of crawls be kept so many days. Glue writes those of all the account's crawlers to one group, which
    it makes without an end; False where somebody has given it one, which stays."""
    found = logs.describe_log_groups(logGroupNamePrefix=CRAWL_LOGS)["logGroups"]
    held = next((group for group in found if group["logGroupName"] == CRAWL_LOGS), None)
    if held is not None and "retentionInDays" in held:
        return False
    if held is None:
        logs.create_log_group(logGroupName=CRAWL_LOGS)
    logs.put_retention_policy(logGroupName=CRAWL_LOGS, retentionInDays=days)
    return True


def digest_of_views(listed: Sequence[tuple[str, str]], tables: Mapping[str, Sequence[Column]]) -> str:
    """Changes with the views' SQL and with the type of any column: Athena stores a view with the types it had when it
    was made, and calls it stale when a table's differ ("View is stale", AWS's knowledge centre)."""
    types = {name: [(column.name, column.type) for column in columns] for name, columns in sorted(tables.items())}
    return hashlib.sha256(json.dumps([list(listed), types]).encode()).hexdigest()


def period_hours(schedule: str) -> float:
    """Hours between the next two firings."""
    first = next_time(schedule, now())
    return (next_time(schedule, first) - first).total_seconds() / 3600


@contextmanager
def step(name: str) -> Iterator[None]:
    """Names the step that an error of AWS or of the lake came from."""
    from botocore.exceptions import BotoCoreError, ClientError

    from chalicelib.errors import LakeError

    try:
        yield
    except (BotoCoreError, ClientError, LakeError) as error:
        raise DeployFailed(
            f"{name}: {error}. What is done is kept; run the same command again when it is mended"
        ) from error
    except DeployFailed as error:
        raise DeployFailed(f"{name}: {error}") from error


def run_chalice(command: str, folder: Path, names: Names, session: Any) -> str:
    """Run Chalice's own command on the staged project. Raises DeployFailed with the end of what it said."""
    credentials = session.get_credentials().get_frozen_credentials()
    environment = {
        **os.environ,
        "AWS_ACCESS_KEY_ID": credentials.access_key,
        "AWS_SECRET_ACCESS_KEY": credentials.secret_key,
        "AWS_DEFAULT_REGION": names.region,
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    if credentials.token:
        environment["AWS_SESSION_TOKEN"] = credentials.token
    call = [sys.executable, "-c", CHALICE, "--project-dir", str(folder), command, "--stage", names.stage]
    try:
        done = subprocess.run(
            call, env=environment, capture_output=True, text=True, timeout=CHALICE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise DeployFailed(f"chalice {command} takes longer than {CHALICE_SECONDS} s") from None
    if NO_DEPENDENCIES in done.stdout:
        told = done.stdout[done.stdout.index(NO_DEPENDENCIES) :].strip()
        raise DeployFailed(f"chalice {command} went on without what the functions need. {told[:1500]}")
    if done.returncode:
        raise DeployFailed(f"chalice {command} failed: {(done.stderr or done.stdout).strip()[-1500:]}")
    return done.stdout


def empty_bucket(s3: Any, bucket: str) -> int:
    """Delete every object in every version; answers how many."""
    count = 0
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        listed = [{"Key": each["Key"], "VersionId": each["VersionId"]} for each in found]
        if listed:
            s3.delete_objects(Bucket=bucket, Delete={"Objects": listed, "Quiet": True})
            count += len(listed)
    return count
