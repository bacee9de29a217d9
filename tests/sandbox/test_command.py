"""``python -m sandbox`` and what its README says."""

from __future__ import annotations

import json
import re
import subprocess
import sys

from sandbox.__main__ import parser
from sandbox.admin import Admin
from sandbox.caller import Caller
from sandbox.edits import OPERATIONS
from sandbox.export import VARIANTS
from sandbox.faults import KINDS
from sandbox.server import Sandbox
from tests.support import PROJECT

README = (PROJECT / "sandbox" / "README.md").read_text(encoding="utf-8")


def test_the_command_serves_and_says_where() -> None:
    command = [sys.executable, "-m", "sandbox", "--port", "0", "--scale", "small", "--mode", "extended", "--frozen"]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            assert process.stdout is not None
            address = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
            assert address is not None
            with Caller(address.group()) as call:
                state = call.get("/admin/state").json
            assert (state["mode"], state["scale"], state["frozen"]) == ("extended", "small", True)
        finally:
            process.terminate()


def test_a_port_in_use_is_one_clear_line() -> None:
    with Sandbox() as sandbox:
        command = [sys.executable, "-m", "sandbox", "--scale", "small", "--port", str(sandbox.port)]
        done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("sandbox: ")
    assert done.stderr.count("\n") == 1


def test_importing_the_sandbox_costs_little_and_needs_nothing_but_the_standard_library() -> None:
    code = "import sys, json, sandbox.server, sandbox.export, sandbox.answers; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in json.loads(done.stdout)}
    assert not loaded & {"requests", "spotipy", "pyarrow", "duckdb", "msgspec", "chalice", "boto3", "chalicelib"}


def test_the_readme_names_every_option_endpoint_edit_fault_and_export() -> None:
    with Sandbox() as sandbox:
        endpoints = [name.replace(" /", " /admin/") for name in Admin(sandbox.service).names]
    options = [option for action in parser()._actions for option in action.option_strings if option.startswith("--")]
    for name in [*endpoints, *OPERATIONS, *KINDS, *VARIANTS, *options]:
        assert name in README or name == "--help", name
