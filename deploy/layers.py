"""pyarrow and pandas for Lambda: pinned, trimmed, tried, and published once per content.

What is trimmed is what the lake never imports: tests, headers, pyarrow's Flight, S3, ORC, Substrait, encryption and
other file systems, numpy's FFT and polynomials; symbols of shared libraries. All of it works on files alone, so that
a layer is the same bytes whatever machine builds it; trying it needs a machine like Lambda's (see :func:`can_try`).
Modules are shipped compiled and without their source: importing pandas costs a cold function 0.3 s instead of 1.2 s,
at no more bytes.
"""

from __future__ import annotations

import base64
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from chalicelib.stores.aws import code_of
from deploy.elf import forget_needed, strangers, strip
from deploy.errors import DeployFailed
from deploy.functions import PANDAS, PYARROW
from deploy.names import Names

PROJECT = Path(__file__).resolve().parent.parent
BUILD = PROJECT / "build"
CACHE = BUILD / "cache"  # what is the same for every stage, named by what it is made of
RECIPE = 7  # raise when what is trimmed changes: caches are named by it
DOWNLOAD_SECONDS = 60.0  # without a byte of a layer that somebody else has published
DATE = (1980, 1, 1, 0, 0, 0)  # of every file, so that the same content gives the same bytes
CONTENTS = {PYARROW: ("pyarrow", "isal"), PANDAS: ("pandas", "numpy", "python-dateutil", "six")}
RUNTIME = f"python{sys.version_info[0]}.{sys.version_info[1]}"  # Lambda's name of it: the Python that deploys
ARCHITECTURE = "x86_64"
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")

USELESS_FOLDERS = ("tests", "__pycache__", "include", "includes", "f2py", "_pyinstaller", "doc", "bin")
USELESS_FILES = (
    "*.pyx", "*.pxd", "*.pxi", "*.pyi", "*.h", "*.hpp", "*.c", "*.cc", "*.cpp", "*.a", "*.cmake", "*.build",
    "*.md", "*.rst", "conftest.py", "RECORD", "INSTALLER", "REQUESTED", "direct_url.json",
)  # fmt: skip
USELESS_PYARROW = (
    "libarrow_flight*", "libarrow_python_flight*", "_flight*", "flight.py", "libarrow_s3*", "_s3fs*", "_orc*",
    "orc.py", "_dataset_orc*", "libarrow_python_parquet_encryption*", "_parquet_encryption*",
    "_dataset_parquet_encryption*", "_substrait*", "substrait.py", "_azurefs*", "_gcsfs*", "_hdfs*", "_cuda*",
    "cuda.py", "jvm.py", "gandiva*", "libgandiva*", "interchange", "src",
    "libarrow_substrait*",
    "_pyarrow_cpp_tests*",
    "libarrow_python.so", "libarrow_python.so.*.*.*",
)  # fmt: skip

USELESS_PATHS = ("numpy/fft", "numpy/polynomial", "numpy/_core/_simd.*", "dateutil/zoneinfo/*.tar.gz")

TRIALS = {
    PYARROW: """
import io, gzip, pyarrow as pa, pyarrow.parquet as pq, pyarrow.compute as pc, pyarrow.csv as pv, pyarrow.dataset
from isal import igzip
table = pa.table({"id": ["a", "b", None], "n": pa.array([1, 2, 3], pa.int64()), "at": pa.array([0, 1, 2],
    pa.timestamp("us", tz="UTC")), "genres": pa.array([["x"], [], None], pa.list_(pa.string()))})
for codec in ("zstd", "snappy", "gzip"):
    sink = io.BytesIO(); pq.write_table(table, sink, compression=codec); sink.seek(0)
    assert pq.read_table(sink).equals(table)
assert pc.sum(table["n"]).as_py() == 6 and table.sort_by("n").num_rows == 3
assert pv.read_csv(io.BytesIO(b"a,b\\n1,x\\n")).num_rows == 1
assert igzip.decompress(gzip.compress(b"x" * 1000)) == b"x" * 1000
""",
    PANDAS: """
import io, pandas as pd, numpy as np, pyarrow as pa
frame = pd.DataFrame({"at": pd.to_datetime(["2026-11-20T10:00:00Z", None], utc=True), "n": [1.5, 2.5]})
assert frame.groupby(frame["at"].dt.tz_convert("UTC").dt.date)["n"].sum().iloc[0] == 1.5
assert pd.merge_asof(frame.head(1), frame.head(1), on="at").shape == (1, 3)
assert pa.Table.from_pandas(frame, preserve_index=False).to_pandas().equals(frame)
assert np.linalg.norm(np.ones(4)) == 2.0
""",
}


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer: its zip, the zip's SHA-256, and its size in bytes when unpacked. ``arn`` is that of a layer which
    somebody else has published; empty for one that is built here."""

    kind: str
    path: Path
    digest: str
    unzipped: int
    arn: str = ""

    @property
    def zipped(self) -> int:
        return self.path.stat().st_size

    def unpacked(self) -> Path:
        """The layer as a folder, kept beside its zip."""
        folder = self.path.with_suffix("")
        if not folder.is_dir():
            with tempfile.TemporaryDirectory(dir=folder.parent) as scratch, zipfile.ZipFile(self.path) as archive:
                archive.extractall(Path(scratch) / "layer")
                (Path(scratch) / "layer").rename(folder)
        return folder

    def sites(self) -> list[Path]:
        """The folders that Lambda puts on Python's path."""
        python = self.unpacked() / "python"
        below = python / "lib" / RUNTIME / "site-packages"
        return [folder for folder in (python, below) if folder.is_dir()]


def build_layers(kinds: Iterable[str] = CONTENTS, folder: Path = CACHE) -> dict[str, Layer]:
    """These layers for the running Python's version, from the cache where the recipe is the same."""
    layers = {kind: folder / f"{kind}-{fingerprint(kind)}.zip" for kind in kinds}
    missing = [kind for kind, path in layers.items() if not path.exists()]
    if missing:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch, ThreadPoolExecutor(2) as pool:
            sites = {kind: Path(scratch) / kind / "python" for kind in CONTENTS}
            list(pool.map(lambda kind: assemble(kind, sites[kind]), CONTENTS))  # a trial of pandas needs both
            for kind in missing:
                require_lambdas_libraries(kind, sites[kind])
                if can_try():
                    attempt(kind, list(sites.values()) if kind == PANDAS else [sites[kind]])
                pack(sites[kind].parent, layers[kind])
    return {kind: described(kind, path) for kind, path in layers.items()}


def fetch_layer(kind: str, arn: str, client: Any, folder: Path = CACHE) -> Layer:
    """A layer that somebody else has published, in the cache. Raises DeployFailed where functions cannot use it."""
    told = client.get_layer_version_by_arn(Arn=arn)
    for wanted, known in ((RUNTIME, "CompatibleRuntimes"), (ARCHITECTURE, "CompatibleArchitectures")):
        if told.get(known) and wanted not in told[known]:
            raise DeployFailed(f"{arn} is for {', '.join(told[known])}, the functions need {wanted}")
    digest = base64.b64decode(told["Content"]["CodeSha256"]).hex()
    path = folder / f"{kind}-{digest[:16]}.zip"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        scratch = path.with_suffix(".part")
        try:
            with (
                urllib.request.urlopen(told["Content"]["Location"], timeout=DOWNLOAD_SECONDS) as source,
                scratch.open("wb") as target,
            ):
                shutil.copyfileobj(source, target)
        except OSError as error:
            raise DeployFailed(f"{arn} cannot be downloaded: {error}") from error
        os.replace(scratch, path)
    layer = replace(described(kind, path), arn=arn)
    if layer.digest != digest:
        path.unlink()
        raise DeployFailed(f"{arn} did not arrive whole: run this again")
    return layer


def fingerprint(kind: str) -> str:
    parts = [*pins(kind), sys.implementation.cache_tag or "", str(RECIPE)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def pins(kind: str) -> list[str]:
    """``name==version`` of everything in a layer, from the requirement and constraint files."""
    lines = [*requirement_lines("requirements-layers.txt"), *requirement_lines("constraints.txt")]
    known = {line.partition("==")[0].lower(): line.partition(";")[0].strip() for line in lines if "==" in line}
    return [known[name] for name in CONTENTS[kind]]


def requirement_lines(name: str, folder: Path = PROJECT) -> list[str]:
    lines = (folder / name).read_text().splitlines()
    return [line.partition("#")[0].strip() for line in lines if line.partition("#")[0].strip()]


def assemble(kind: str, site: Path) -> None:
    install(pins(kind), site)
    trim(site)
    forget_substrait(site)
    strip_symbols(site)
    compile_away(site)


def install(requirements: Iterable[str], target: Path) -> None:
    """Install wheels for Lambda's platform, whatever this machine is. Raises DeployFailed with pip's own words."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps",
               "--no-compile", "--only-binary=:all:", "--implementation", "cp",
               "--python-version", f"{sys.version_info[0]}.{sys.version_info[1]}", "--target", str(target)]  # fmt: skip
    for each in PLATFORMS:
        command += ["--platform", each]
    done = subprocess.run([*command, *requirements], capture_output=True, text=True, check=False)
    if done.returncode:
        raise DeployFailed(f"could not install {', '.join(requirements)} for Lambda: {done.stderr.strip()[-800:]}")


def trim(site: Path) -> None:
    for path in sorted(site.rglob("*"), reverse=True):  # children first
        below = path.relative_to(site).parts
        useless = path.name in USELESS_FOLDERS if path.is_dir() else matches(path.name, USELESS_FILES)
        useless = useless or (below[0] == "pyarrow" and len(below) == 2 and matches(path.name, USELESS_PYARROW))
        if useless or matches("/".join(below), USELESS_PATHS):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch(name, pattern) for pattern in patterns)


def libraries_of(site: Path) -> list[Path]:
    """Every shared library below a folder, once."""
    return sorted(path for path in site.rglob("*.so*") if path.is_file() and not path.is_symlink())


def strip_symbols(site: Path) -> None:
    for library in libraries_of(site):
        strip(library)


def require_lambdas_libraries(what: str, site: Path) -> None:
    """Raises DeployFailed for a shared library that Lambda cannot load, by its ELF header."""
    foreign = strangers(libraries_of(site), ARCHITECTURE)
    if foreign:
        raise DeployFailed(f"{what} is not for Lambda's {ARCHITECTURE} Linux: {', '.join(foreign[:3])}")


def can_try() -> bool:
    """Whether this machine can load what Lambda loads. Elsewhere (macOS, Linux on ARM) ELF headers and names alone are
    checked."""
    return sys.platform == "linux" and platform.machine() == ARCHITECTURE


def forget_substrait(site: Path) -> None:
    for library in libraries_of(site / "pyarrow") if (site / "pyarrow").is_dir() else []:
        forget_needed(library, "libarrow_substrait")


def compile_away(site: Path) -> None:
    """Replace each module by its compiled form; what does not compile (templates) stays as it is."""
    compile_folder(site, "/opt/python", legacy=True)
    for source in site.rglob("*.py"):
        if source.with_suffix(".pyc").exists() and not keeps_source(source):
            source.unlink()


def compile_folder(folder: Path, shown_as: str, *, legacy: bool = False) -> None:
    """Compile every module below ``folder``, the same way each time: the order of a set in it is else up to chance."""
    options = {"quiet": 2, "legacy": legacy, "stripdir": str(folder), "prependdir": shown_as, "workers": 1}
    code = (
        "import compileall, py_compile\n"
        f"compileall.compile_dir({str(folder)!r}, **{options!r},"
        " invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True)


def keeps_source(source: Path) -> bool:
    """pyarrow.compute makes its functions' documentation with a module that reads sources."""
    return source.name == "docscrape.py"


def attempt(kind: str, sites: list[Path]) -> None:
    """Use the layer in an interpreter that sees nothing else. It ends at once: Arrow's threads may still be at
    work on a busy machine when an interpreter takes its leave, which then aborts."""
    code = f"import os, sys; sys.path[:0] = {[str(site) for site in sites]!r}\n{TRIALS[kind]}\nos._exit(0)"
    done = subprocess.run([sys.executable, "-I", "-S", "-B", "-c", code], capture_output=True, text=True, check=False)
    if done.returncode:
        raise DeployFailed(f"the {kind} layer does not work once trimmed: {done.stderr.strip()[-800:]}")


def pack(folder: Path, target: Path) -> None:
    scratch = folder.with_suffix(".part")  # among what is thrown away: another deployment may make the same
    with zipfile.ZipFile(scratch, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in files_of(folder):
            entry = zipfile.ZipInfo(str(path.relative_to(folder)), DATE)
            entry.external_attr = 0o755 << 16 if ".so" in path.name else 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, path.read_bytes(), compresslevel=9)
    os.replace(scratch, target)


def files_of(folder: Path) -> Iterator[Path]:
    yield from sorted(path for path in folder.rglob("*") if path.is_file())


def described(kind: str, path: Path) -> Layer:
    with zipfile.ZipFile(path) as archive:
        unzipped = sum(entry.file_size for entry in archive.infolist())
    return Layer(kind, path, hashlib.sha256(path.read_bytes()).hexdigest(), unzipped)


# --- publishing ---------------------------------------------------------------------------------------------------


def publish(layer: Layer, names: Names, client: Any) -> tuple[str, bool]:
    """The ARN of the layer's version with this very content, and whether it had to be published."""
    name = names.layer(layer.kind)
    mark = f"sha256:{layer.digest}"
    for version in versions(name, client):
        if version.get("Description") == mark:
            return str(version["LayerVersionArn"]), False
    made = client.publish_layer_version(
        LayerName=name,
        Description=mark,
        Content={"ZipFile": layer.path.read_bytes()},
        CompatibleRuntimes=[RUNTIME],
        CompatibleArchitectures=[ARCHITECTURE],
    )
    return str(made["LayerVersionArn"]), True


def versions(name: str, client: Any) -> list[dict[str, Any]]:
    from botocore.exceptions import ClientError

    try:
        pages = client.get_paginator("list_layer_versions").paginate(LayerName=name)
        return [version for page in pages for version in page["LayerVersions"]]
    except ClientError as error:
        if code_of(error) == "ResourceNotFoundException":
            return []
        raise


def remove(names: Names, client: Any, *, keep: Iterable[str] = ()) -> int:
    """Delete every version of the stage's layers but those of ``keep`` (ARNs); functions keep what they hold."""
    kept, removed = set(keep), 0
    for kind in CONTENTS:
        for version in versions(names.layer(kind), client):
            if version["LayerVersionArn"] not in kept:
                client.delete_layer_version(LayerName=names.layer(kind), VersionNumber=version["Version"])
                removed += 1
    return removed
