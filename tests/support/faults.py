"""A stage whose functions run in this process, calling an emulated AWS that can fail at any of their calls.

Every function makes its things anew for each event, as a cold one does, and has the retries, timeouts and clients of
the deployed ones. Events wait until the test delivers them, so that the calls of a run come in the same order always.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pyarrow.parquet as pq
from chalice.app import S3Event
from moto.glue.models import glue_backends
from moto.s3.models import s3_backends
from moto.sqs.models import sqs_backends

from chalicelib import handlers
from chalicelib.clock import now
from chalicelib.lake import Lake
from chalicelib.rest.messages import Reply, Request
from chalicelib.runs import RunRecord, load_run, run_ids
from chalicelib.settings import Settings
from chalicelib.spotify import auth
from chalicelib.stores import aws as clients
from chalicelib.stores.secrets_folder import SecretFolder
from chalicelib.wiring import Parts
from sandbox.server import Sandbox
from tests.emulator import ACCOUNT, REGION, Emulator, Fault, shared
from tests.emulator.functions import Inline
from tests.emulator.stage import Stage, make_stage
from tests.support.extraction import START, contents

KEY = "AKIAOFTHEAPP"  # the functions' access key: nobody else's calls fail
SOURCES = ["recently_played", "saved_albums"]
SCHEDULED, TRANSFORM, TRANSFORM_RUN, MAINTAIN, RUN, RESULT, IMPORT = (
    "scheduled_extraction", "transform", "transform_run", "maintain", "run_extraction", "result_file", "import_history",
)  # fmt: skip
HANDLERS = (SCHEDULED, TRANSFORM, TRANSFORM_RUN, MAINTAIN, RUN, RESULT, IMPORT)
TABLES = ("plays_resolved", "plays_history", "albums_history", "saved_items_history", "runs_history")


@dataclass
class Faulty:
    """One stage; :meth:`reset` makes it new."""

    aws: Emulator
    sandbox: Sandbox
    stage: Stage
    environ: dict[str, str]
    secret: str
    queue: str
    seen: list[str] = field(default_factory=list)

    @property
    def lake(self) -> Lake:
        return self.stage.lake

    def parts(self) -> Parts:
        return Parts(self.environ, None)

    def reset(self) -> None:
        """Nothing in the bucket, the catalogue or the queue; a listener who has logged in."""
        self.aws.faults.clear()
        self.aws.secret_versions.clear()  # as if a day had passed
        self.aws.functions.held = []
        self.aws.functions.runs.clear()
        self.aws.functions.given_up.clear()
        clients.forget_clients()
        self.fill({})
        for table in glue_backends[ACCOUNT][REGION].databases[self.stage.names.database].tables.values():
            table.partitions.clear()
        self.aws.client("secretsmanager").put_secret_value(SecretId=self.stage.names.secret + "/spotify",
                                                           SecretString=self.secret)  # fmt: skip
        sqs_backends[ACCOUNT][REGION].queues[
            self.stage.names.dead_letters
        ]._messages.clear()  # AWS purges once a minute

    def snapshot(self) -> dict[str, bytes]:
        return {info.key: self.lake.store.read(info.key) for info in self.lake.store.list("")}

    def fill(self, objects: dict[str, bytes]) -> None:
        """Exactly these objects in the bucket, and nobody told of them."""
        s3_backends[ACCOUNT]["global"].buckets[self.stage.names.bucket].keys.clear()
        self.aws.functions.paused, held = True, self.aws.functions.held
        self.aws.functions.held = None
        for key, data in objects.items():
            self.lake.store.write(key, data)
        self.aws.functions.paused, self.aws.functions.held = False, held

    def inject(self, kind: str, skip: int = 0, **more: Any) -> Fault:
        return self.aws.inject(kind, skip=skip, key=KEY, **more)

    @contextmanager
    def tracing(self) -> Iterator[list[str]]:
        """The functions' calls inside, each as its service, operation and kind of thing."""
        calls: list[str] = []
        self.aws.trace, self.aws.traced_key = [], KEY
        try:
            yield calls
            calls += [self.sort_of(name) for name in self.aws.trace]
        finally:
            self.aws.trace, self.aws.traced_key = None, ""

    def sort_of(self, name: str) -> str:
        """``s3:PUT state/journal/#`` of ``s3:PUT /bucket/state/journal/20261120T…/000001/000004``."""
        name = name.replace(f"/{self.stage.names.bucket}", "").replace(" /", " ")
        name = re.sub(r"\d{4}/\d\d/\d\d|\d{8}T\d{6}Z-\w+|[0-9a-f]{12,}|\d{6}|month=[\d-]+", "#", name)
        return re.sub(r"#[\w./#%-]*?(?=\.\w+$|$)", "#", name)

    # --- what the functions do ------------------------------------------------------------------------------------

    def schedule(self) -> bool:
        """A scheduled run and all that it sets going; whether the run's own event was seen through."""
        outcome = self.aws.functions.see_through(self.name(SCHEDULED), {"sources": SOURCES})
        self.aws.functions.deliver()
        return not outcome.failed

    def maintain(self) -> bool:
        outcome = self.aws.functions.see_through(self.name(MAINTAIN), {})
        self.aws.functions.deliver()
        return not outcome.failed

    def ask(self, method: str, route: str, body: Any = None, **path: str) -> Reply:
        """A request to the API as its function handles it, cold."""
        data = b"" if body is None else json.dumps(body).encode()
        request = Request(method, route, path, {}, {"content-type": "application/json"}, data, "run", "token", "r-1")
        return self.parts().api.handle(request)

    def name(self, handler: str) -> str:
        return self.stage.names.function(handler)

    # --- what came of it ------------------------------------------------------------------------------------------

    def failed(self) -> list[str]:
        """Functions whose calls failed, one entry a call."""
        base = self.stage.names.base + "-"
        return [name.removeprefix(base) for name, failed in self.aws.functions.runs if failed]

    def dead_letters(self) -> list[dict[str, Any]]:
        sqs = self.aws.client("sqs")
        found = sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10, VisibilityTimeout=0)
        return [json.loads(message["Body"]) for message in found.get("Messages", [])]

    def records(self) -> list[RunRecord]:
        return [load_run(self.lake, run_id) for run_id in run_ids(self.lake)]

    def answers(self) -> Counter[Any]:
        return contents(self.lake)

    def rows(self) -> Counter[str]:
        """What the tables hold but times of observation, whichever run brought it."""
        found: Counter[str] = Counter()
        for table in TABLES[:-1]:
            for info in self.lake.store.list(f"transformed/g1/{table}/"):
                for row in pq.read_table(self.lake.store.open(info.key)).to_pylist():
                    kept = {name: value for name, value in row.items() if name not in ("observed_at", "month")}
                    found[json.dumps([table, kept], default=str, sort_keys=True)] += 1
        return found

    def plays(self) -> list[str]:
        """The listens as the table has them, one entry a row."""
        found = [
            row["play_id"]
            for info in self.lake.store.list("transformed/g1/plays_resolved/")
            for row in pq.read_table(self.lake.store.open(info.key)).to_pylist()
        ]
        return sorted(found)

    def partitions(self) -> set[tuple[str, str]]:
        tables = glue_backends[ACCOUNT][REGION].databases[self.stage.names.database].tables
        return {(name, each.values[0]) for name, table in tables.items() for each in table.partitions.values()}

    def partitions_with_files(self) -> set[tuple[str, str]]:
        found = re.compile(r"transformed/g1/(\w+)/month=([\d-]+)/")
        places = [found.match(info.key) for info in self.lake.store.list("transformed/g1/")]
        return {(place[1], place[2]) for place in places if place}

    def lease_over(self) -> None:
        """As if the two minutes had passed after which a lock that was not given back counts no more."""
        for key in [info.key for info in self.lake.store.list("state/run-locks/")]:
            held = json.loads(self.lake.store.read(key))
            self.lake.store.write(key, json.dumps({**held, "expires_at": "2026-01-01T00:00:00Z"}).encode())


@contextmanager
def faulty(folder: Any) -> Iterator[Faulty]:
    """A stage with bucket, notifications, catalogue, secrets, queue, and its functions in this process."""
    aws = shared()
    stage = make_stage(aws)
    names = stage.names
    queue = aws.client("sqs").create_queue(QueueName=names.dead_letters)["QueueUrl"]
    with Sandbox(mode="development", scale="small", now=START, frozen=True) as sandbox:
        environ = {
            "LAKE_URL": names.lake_url, "SECRETS_URL": f"secretsmanager:{names.secret}", "LAKE_STAGE": names.base,
            "GLUE_DATABASE": names.database, "GLUE_CRAWLER": names.crawler, "ATHENA_WORKGROUP": names.workgroup,
            "EXTRACT_FUNCTION": names.function(RUN), "RESULT_FUNCTION": names.function(RESULT),
            "SPOTIPY_CLIENT_ID": sandbox.client_id, "SPOTIPY_CLIENT_SECRET": sandbox.client_secret,
            "SPOTIFY_API_URL": sandbox.api_url.rstrip("/"), "SPOTIFY_ACCOUNTS_URL": sandbox.accounts_url,
            "CONCURRENCY": "1", "COMPACT_FILES": "2", "CALLS_PER_RUN": "100000",
        }  # fmt: skip
        made = Faulty(aws, sandbox, stage, environ, "", queue)
        made.secret = logged_in(folder, sandbox, made.parts().settings)
        for which in ("api", "spotify"):
            aws.client("secretsmanager").create_secret(Name=f"{names.secret}/{which}", SecretString="{}")
        install(made)
        with aws.in_environment(AWS_ACCESS_KEY_ID=KEY):
            try:
                yield made
            finally:
                aws.settle()
                for handler in HANDLERS:
                    aws.functions.inline.pop(names.function(handler))
                aws.functions.held = None
                aws.faults.clear()


def logged_in(folder: Any, sandbox: Sandbox, settings: Settings) -> str:
    """The secret of a listener whose access token must be renewed at once."""
    listener = sandbox.world.default_listener
    reply = {
        "access_token": sandbox.access_token(listener.id),
        "refresh_token": sandbox.refresh_token(listener.id, " ".join(auth.SCOPES)),
        "scope": " ".join(auth.SCOPES),
        "expires_in": 1,
    }
    secrets = SecretFolder(folder)
    auth.remember(settings, secrets, reply, now(), now)
    return json.dumps({name: secrets.read(name) for name in secrets.names()})


def install(made: Faulty) -> None:
    """The functions under their deployed names, and the bucket's notifications to them."""
    names, parts = made.stage.names, made.parts
    letters = names.dead_letters_arn

    def transform(event: Any) -> Any:
        return handlers.transform(parts(), S3Event(event, None).key)

    for handler, run in {
        SCHEDULED: lambda event: handlers.extract(parts(), "schedule", None, event),
        RUN: lambda event: handlers.extract(parts(), "api", None, event),
        TRANSFORM: transform,
        TRANSFORM_RUN: transform,
        MAINTAIN: lambda _: handlers.maintain(parts()),
        RESULT: lambda event: handlers.result_file(parts(), event),
        IMPORT: lambda event: handlers.import_history(parts(), S3Event(event, None).key),
    }.items():
        made.aws.functions.inline[names.function(handler)] = Inline(run, letters if handler != RESULT else "")
    arrivals = [(TRANSFORM, "raw/spotify/", ".gz"), (TRANSFORM_RUN, "raw/runs/", ".json")]
    told = [
        {
            "LambdaFunctionArn": names.function_arn(handler),
            "Events": ["s3:ObjectCreated:*"],
            "Filter": {"Key": {"FilterRules": [{"Name": "Prefix", "Value": prefix}, {"Name": "Suffix", "Value": end}]}},
        }
        for handler, prefix, end in arrivals
    ]
    made.aws.client("s3").put_bucket_notification_configuration(
        Bucket=names.bucket, NotificationConfiguration={"LambdaFunctionConfigurations": told}
    )
