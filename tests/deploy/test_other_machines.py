"""Deploying from a machine that cannot load what Lambda loads: macOS, or Linux on ARM."""

from __future__ import annotations

import platform
import shutil
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from deploy import layers, package
from deploy.elf import MACHINE, machine_of, strangers, strip
from deploy.errors import DeployFailed
from deploy.functions import PANDAS, PYARROW
from deploy.layers import Layer


@pytest.fixture(params=[("darwin", "arm64"), ("darwin", "x86_64"), ("linux", "aarch64")])
def elsewhere(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    system, machine = request.param
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(platform, "machine", lambda: machine)


def library() -> Path:
    import pyarrow

    found = next(Path(pyarrow.__file__).parent.glob("libarrow_dataset.so*"), None)
    if found is None:
        pytest.skip("this build of pyarrow has no shared libraries of its own")
    return found


def for_arm(source: Path, target: Path) -> Path:
    """A library whose header says that it is ARM's."""
    data = bytearray(source.read_bytes())
    struct.pack_into("<H", data, MACHINE, 0xB7)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
    return target


def test_a_librarys_machine_is_read_from_its_header(tmp_path: Path) -> None:
    assert machine_of(library()) == {"x86_64": "x86_64", "aarch64": "arm64"}[platform.machine()]
    arm = for_arm(library(), tmp_path / "arm.so")
    mac = tmp_path / "mac.so"
    mac.write_bytes(b"\xcf\xfa\xed\xfe" + b"\0" * 100)  # Mach-O
    empty = tmp_path / "empty.so"
    empty.touch()
    assert strangers([arm, mac, empty], "x86_64") == [
        "arm.so is for arm64", "mac.so is for no Linux", "empty.so is for no Linux",
    ]  # fmt: skip


@pytest.mark.usefixtures("elsewhere")
def test_there_nothing_is_tried_but_foreign_libraries_are_found(tmp_path: Path) -> None:
    assert not layers.can_try()
    site = tmp_path / "python"
    for_arm(library(), site / "pyarrow" / "lib.so")
    with pytest.raises(DeployFailed, match=r"pyarrow is not for Lambda's x86_64 Linux: lib\.so is for arm64"):
        layers.require_lambdas_libraries("pyarrow", site)
    for name in (PYARROW, PANDAS):
        (tmp_path / f"{name}.zip").write_bytes(b"")
    archive = tmp_path / "layer.zip"
    with zipfile.ZipFile(archive, "w") as target:
        target.write(site / "pyarrow" / "lib.so", "python/pyarrow/lib.so")
    app = tmp_path / "app.zip"
    with zipfile.ZipFile(app, "w") as target:
        target.writestr("app.py", "raise SystemExit('imported')")
    with pytest.raises(DeployFailed, match="the pyarrow layer is not for Lambda"):
        package.check_imports(package.Package(tmp_path, app, 1, 1, ""), {PYARROW: Layer(PYARROW, archive, "1", 1)})


def test_a_stripped_library_is_smaller_and_loads(tmp_path: Path) -> None:
    """What is cut off is what linkers and debuggers read: section headers and what no segment loads."""
    copy = tmp_path / "folder" / library().name
    copy.parent.mkdir()
    for each in library().parent.glob("*.so*"):  # what it needs lies beside it
        shutil.copy(each, copy.parent / each.name)
    saved = strip(copy)
    assert 0 < saved == library().stat().st_size - copy.stat().st_size and strip(copy) == 0
    code = f"import ctypes; ctypes.CDLL({str(copy)!r})"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    text = tmp_path / "x.so"
    text.write_text("no library")
    assert strip(text) == 0 and text.read_text() == "no library"
