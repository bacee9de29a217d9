"""What a cold start imports, and how long that takes, from the zip as it is deployed: ``python -m bench.coldstart``.

Each function's zip and layers are unpacked; an interpreter that sees nothing else imports ``app`` and then the modules
that the function's handler needs. No bytecode is written; what is compiled was shipped compiled.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.emulator import Emulator

TIMES = 5
CODE = """
import sys, time
sys.path[:0] = {sites!r}; sys.path.append({runtime!r})
clock = time.{clock}
begun = clock(); import app; done = clock()
for name in {modules!r}: __import__(name)
print((done - begun) * 1000, (clock() - done) * 1000)
"""


def measure(
    sites: list[Path], runtime: Path, modules: tuple[str, ...] = (), times: int = TIMES, clock: str = "perf_counter"
) -> tuple[float, float]:
    """Milliseconds of ``import app`` and then of ``modules``: the least of several, which load disturbs least.

    ``clock`` is ``perf_counter`` for the time that passes, ``process_time`` for what the processor is busy with it.
    """
    code = CODE.format(sites=[str(site) for site in sites], runtime=str(runtime), modules=list(modules), clock=clock)
    found = []
    for _ in range(times):
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-B", "-c", code], capture_output=True, text=True, check=True, env={}
        )
        found.append([float(each) for each in done.stdout.split()])
    return min(each[0] for each in found), min(each[1] for each in found)


def milliseconds(aws: Emulator, name: str) -> float:
    """Of ``import app`` in a deployed function of the emulation, of processor time: others may use this machine."""
    function = aws.functions.get(name)
    sites = [aws.functions.unpacked(function.code_bytes)]
    sites += [aws.functions.layer(layer["Arn"]) / "python" for layer in function.layers]
    return measure(sites, aws.functions.runtime(), clock="process_time")[0]


def main() -> None:
    from deploy.functions import FUNCTIONS
    from deploy.layers import build_layers
    from deploy.names import Names
    from deploy.package import build, runtime_folder, unpack

    layers = build_layers()
    names = Names("bench", "123456789012", "eu-central-1")
    package = build(names, {"LAKE_URL": names.lake_url}, {kind: f"arn:of:{kind}" for kind in layers})
    print(f"{'function':22}{'import app':>12}{'its modules':>13}   ms; zip {package.zipped / 1e6:.1f} MB")
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
                app, rest = measure(sites, runtime, function.modules)
                print(f"{function.handler:22}{app:12.0f}{rest:13.0f}   {json.dumps(function.layers)}")


if __name__ == "__main__":
    main()
