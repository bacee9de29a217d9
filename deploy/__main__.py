"""``python -m deploy check|up|down|prepare|finish|template --stage dev``: exit status 0, or 1 and one clear line."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from chalicelib.errors import LakeError
from chalicelib.settings import Settings
from deploy.checks import check_python
from deploy.errors import DeployFailed
from deploy.names import Names
from deploy.steps import Choices, Deployment
from deploy.template import Options, app_template, data_template


def parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(prog="python -m deploy", description="Put the lake on AWS, or take it away again.")
    commands = root.add_subparsers(dest="command", required=True)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--stage", default="dev", help="a small letter, then up to 11 of a-z, 0-9 and - (default dev)")
    shared.add_argument("--secrets-url", default="", help="ssm:/PATH to keep secrets in SSM instead of Secrets Manager")
    making = argparse.ArgumentParser(add_help=False, parents=[shared])
    making.add_argument("--email", default="", help="who is told of alarms")
    making.add_argument("--budget", type=float, default=10.0, help="USD a month of the account that raise an alarm")
    making.add_argument("--log-days", type=int, default=30, help="days that logs are kept (default 30)")
    making.add_argument("--tracing", action="store_true", help="trace the functions with X-Ray")
    making.add_argument("--pyarrow-layer", default="", metavar="ARN", help="use this layer instead of building one")
    making.add_argument("--pandas-layer", default="", metavar="ARN", help="use this layer instead of building one")
    making.add_argument("--force", action="store_true", help="deploy even what has not changed")
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


def main(arguments: Sequence[str] | None = None) -> int:
    asked = parser().parse_args(arguments)
    try:
        run(asked)
    except (DeployFailed, LakeError) as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return 1
    except KeyboardInterrupt:
        print("error: interrupted; run the same command again to go on", file=sys.stderr)  # noqa: T201
        return 130
    return 0


def run(asked: argparse.Namespace) -> None:
    if asked.command == "template":
        names = Names(asked.stage, asked.account, asked.region)
        both = {names.data_stack: data_template(names, Options()), names.stack: app_template(names, Options())}
        print(json.dumps(both, indent=2))  # noqa: T201
        return
    check_python()
    import boto3

    making = asked.command != "down"
    choices = Choices(
        stage=asked.stage,
        secrets_url=asked.secrets_url,
        **(
            {
                "email": asked.email,
                "budget_usd": asked.budget,
                "log_days": asked.log_days,
                "tracing": asked.tracing,
                "pyarrow_layer": asked.pyarrow_layer,
                "pandas_layer": asked.pandas_layer,
                "force": asked.force,
            }
            if making
            else {}
        ),
    )
    deployment = Deployment(choices, boto3.session.Session(), Settings.load(), say=say)
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
