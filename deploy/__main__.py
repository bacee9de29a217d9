"""``python -m deploy check|up|down|prepare|finish|template --stage dev``: exit status 0, or 1 and one clear line."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import fields

from chalicelib.errors import LakeError
from chalicelib.settings import Settings
from chalicelib.stores.aws import region
from deploy.checks import check_start
from deploy.errors import DeployFailed
from deploy.functions import LAYERS
from deploy.names import Names
from deploy.steps import Choices, Deployment
from deploy.template import Options, app_template, data_template


def parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(prog="python -m deploy", description="Put the lake on AWS, or take it away again.")
    commands = root.add_subparsers(dest="command", required=True)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--stage", default="dev", help="a small letter, then up to 11 of a-z, 0-9 and - (default dev)")
    making = argparse.ArgumentParser(add_help=False, parents=[shared])
    making.add_argument("--force", action="store_true", help="deploy even what has not changed")
    add_choices(making.add_argument_group("choices, each as last time where it is not said"))
    commands.add_parser("check", parents=[making], help="check everything and say what would be made")
    commands.add_parser("up", parents=[making], help="deploy")
    commands.add_parser("prepare", parents=[making], help="make what `chalice deploy` in this folder needs")
    commands.add_parser("finish", parents=[making], help="after `chalice deploy`: make what Chalice does not")
    down = commands.add_parser("down", parents=[shared], help="remove a stage, but for its data")
    down.add_argument("--data", action="store_true", help="remove the data too: bucket and secrets")
    template = commands.add_parser("template", parents=[shared], help="print the two CloudFormation templates")
    template.add_argument("--account", default="123456789012")
    template.add_argument("--region", default="eu-central-1")
    return root


def add_choices(group: argparse._ArgumentGroup) -> None:
    """An option for each field of Choices; only those that are said come out of parsing."""
    default, said = Choices(), argparse.SUPPRESS
    group.add_argument("--email", default=said, help="who is told of alarms")
    group.add_argument(
        "--budget",
        dest="budget_usd",
        type=float,
        default=said,
        metavar="USD",
        help=f"the account's monthly cost that raises an alarm (default {default.budget_usd:g})",
    )
    group.add_argument(
        "--log-days", type=int, default=said, metavar="N", help=f"days that logs are kept (default {default.log_days})"
    )
    group.add_argument(
        "--tracing", action=argparse.BooleanOptionalAction, default=said, help="trace the functions with X-Ray"
    )
    for kind in LAYERS:
        group.add_argument(
            f"--{kind}-layer",
            default=said,
            metavar="ARN",
            help="use this layer instead of building one; '' builds one again",
        )
    group.add_argument("--secrets-url", default=said, metavar="ssm:/PATH",
                       help="keep secrets in SSM instead of Secrets Manager")  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    from botocore.exceptions import BotoCoreError, ClientError

    asked = parser().parse_args(arguments)
    try:
        run(asked)
    except (DeployFailed, LakeError, BotoCoreError, ClientError) as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return 1
    except KeyboardInterrupt:
        print("error: interrupted; run the same command again to go on", file=sys.stderr)  # noqa: T201
        return 130
    return 0


def run(asked: argparse.Namespace) -> None:
    if asked.command == "template":
        try:
            names = Names(asked.stage, asked.account, asked.region)
        except ValueError as error:
            raise DeployFailed(str(error)) from None
        both = {names.data_stack: data_template(names), names.stack: app_template(names, Options())}
        print(json.dumps(both, indent=2))  # noqa: T201
        return
    import boto3

    session = boto3.session.Session(region_name=region())
    check_start(session)
    deployment = Deployment(
        asked.stage,
        session,
        Settings.load(),
        chosen={each.name: getattr(asked, each.name) for each in fields(Choices) if hasattr(asked, each.name)},
        force=getattr(asked, "force", False),
        say=say,
    )
    if asked.command == "check":
        deployment.check()
    elif asked.command == "up":
        deployment.up()
    elif asked.command == "prepare":
        deployment.prepare()
    elif asked.command == "finish":
        deployment.finish()
    else:
        deployment.down(data=asked.data)


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    raise SystemExit(main())
