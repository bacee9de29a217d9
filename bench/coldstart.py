"""What a cold start imports, and how long that takes, from the zip as it is deployed: ``python -m bench.coldstart``.

Each function's zip and layers are unpacked; an interpreter that sees nothing else imports ``app``, then the modules
that the function's handler needs, then boto3 with the clients that it calls (all of that is Lambda's INIT phase, see
chalicelib/functions.py). No bytecode is written; what is compiled was shipped compiled, but for boto3, which Lambda's
runtime brings.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from bench import figures

if TYPE_CHECKING:
    from tests.emulator import Emulator

TIMES = 5
ENVIRONMENT = {"AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
CODE = """
import sys, time
sys.path[:0] = {sites!r}; sys.path.append({runtime!r})
clock = time.{clock}
begun = clock(); import app; done = clock()
for name in {modules!r}: __import__(name)
imported = clock()
if {services!r}:
    from chalicelib.stores.aws import client
    for service in {services!r}: client(service)
print((done - begun) * 1000, (imported - done) * 1000, (clock() - imported) * 1000)
"""


def measure(
    sites: list[Path],
    runtime: Path,
    modules: tuple[str, ...] = (),
    services: tuple[str, ...] = (),
    times: int = TIMES,
    clock: str = "perf_counter",
) -> tuple[float, float, float]:
    """Milliseconds of ``import app``, of ``modules`` and of boto3 with its clients: the least of several, which load
    disturbs least.

    ``clock`` is ``perf_counter`` for the time that passes, ``process_time`` for what the processor is busy with it.
    """
    folders = [str(site) for site in sites]
    code = CODE.format(
        sites=folders, runtime=str(runtime), modules=list(modules), services=list(services), clock=clock
    )  # fmt: skip
    found = []
    for _ in range(times):
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-B", "-c", code], capture_output=True, text=True, check=True, env=ENVIRONMENT
        )
        found.append([float(each) for each in done.stdout.split()])
    first, second, third = (min(times) for times in zip(*found, strict=True))
    return first, second, third


def milliseconds(aws: Emulator, name: str) -> float:
    """Of ``import app`` in a deployed function of the emulation, of processor time: others may use this machine."""
    function = aws.functions.get(name)
    sites = [aws.functions.unpacked(function.code_bytes)]
    sites += [aws.functions.layer(layer["Arn"]) / "python" for layer in function.layers]
    return measure(sites, aws.functions.runtime(), clock="process_time")[0]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.coldstart")
    parser.add_argument("--times", type=int, default=TIMES, help="how often each is measured; the least counts")
    times = parser.parse_args().times
    from chalicelib.functions import services
    from chalicelib.settings import Settings
    from deploy.functions import FUNCTIONS
    from deploy.layers import build_layers
    from deploy.names import API_HANDLER, Names
    from deploy.package import build, runtime_folder, unpack

    layers = build_layers()
    names = Names("bench", "123456789012", "eu-central-1")
    package = build(names, {"LAKE_URL": names.lake_url}, {kind: f"arn:of:{kind}" for kind in layers})
    found: dict[tuple[str, bool], float] = {}
    settings = Settings(lake_url=names.lake_url, secrets_url=f"secretsmanager:{names.secret}")
    print(
        f"{'function':22}{'import app':>12}{'its modules':>13}{'clients':>10}   ms; zip {package.zipped / 1e6:.1f} MB"
    )
    with tempfile.TemporaryDirectory() as folder:
        task, runtime = unpack(package.archive, Path(folder) / "task"), runtime_folder(Path(folder) / "runtime")
        bare = Path(folder) / "bare"
        for compiled in (True, False):
            if not compiled:
                unpack(package.archive, bare)
                for path in bare.rglob("*.pyc"):
                    path.unlink()
                print("without .pyc in the zip:")
            for function in FUNCTIONS:
                sites = [
                    task if compiled else bare,
                    *(site for kind in function.layers for site in layers[kind].sites()),
                ]
                called = tuple(services(function.handler, settings))
                app, rest, clients = measure(sites, runtime, function.modules, called, times, "process_time")
                print(f"{function.handler:22}{app:12.0f}{rest:13.0f}{clients:10.0f}   {json.dumps(function.layers)}")
                found[function.handler, compiled] = app + rest + clients
    (what,) = figures.MEASURED["coldstart"]
    with_bytecode, without = (f"{found[API_HANDLER, compiled]:.0f} ms" for compiled in (True, False))
    figures.tell("coldstart", {what: (with_bytecode, f"without bytecode in the zip {without}")}, usual=times == TIMES)


if __name__ == "__main__":
    main()
