"""The project as it is deployed: a Chalice project of its own below ``build/<stage>``.

It differs from the working tree in four ways: pinned dependencies lie in ``vendor/`` (Chalice's own installation says
"Could not install dependencies" and deploys a broken zip all the same), everything is compiled (without ``.pyc`` a
cold start compiles each module it imports), files that only a laptop runs stay at home, and the configuration is
the stage's. ``chalice --project-dir build/dev deploy --stage dev`` works there as anywhere.
"""

from __future__ import annotations

import ast
import copy
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from deploy.errors import DeployFailed
from deploy.functions import BY_HANDLER, FUNCTIONS, Function
from deploy.layers import (
    BUILD,
    CACHE,
    DATE,
    PROJECT,
    Layer,
    can_try,
    compile_folder,
    install,
    require_lambdas_libraries,
    requirement_lines,
    trim,
)
from deploy.names import API_HANDLER, Names
from deploy.policies import policies

MB = 10**6
MOST_ZIPPED = 15 * MB  # ours; Lambda takes 50 MB directly
MOST_LAYERS_ZIPPED = 52 * MB
MOST_UNZIPPED = 200 * MB  # ours, of a function with its layers
LAMBDA_ZIPPED = 50 * 2**20  # Lambda quotas, direct upload
LAMBDA_UNZIPPED = 262_144_000  # Lambda quotas, function and layers
PREPARED = "made-by-python-m-deploy-prepare"  # below .chalice: Chalice names the file that it misses, and so the remedy
EPOCH = 315_619_200  # 1980-01-02 UTC as a file time: the same content is to make the same zip

LAPTOP_ONLY = ("chalicelib.__main__", "chalicelib.commands", "chalicelib.local", "chalicelib.queries.embedded")
RUNTIME = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "urllib3", "six")  # Lambda's Python has them
GUARDED = frozenset({"dotenv", "pyawscron", "chalice.local"})  # imported only on a laptop, or in a try


@dataclass(frozen=True, slots=True)
class Package:
    """A staged project and what its zip weighs, in bytes; ``digest`` changes with anything that is deployed, and is
    empty while there is no configuration."""

    folder: Path
    archive: Path
    zipped: int
    unzipped: int
    digest: str


def build(names: Names, environment: Mapping[str, str], layers: Mapping[str, str], **choices: Any) -> Package:
    """Stage the project with its configuration. ``layers`` are ARNs by kind; ``choices`` are configure()'s."""
    return configured(stage_code(names), names, environment, layers, **choices)


def stage_code(names: Names) -> Package:
    """Stage what does not depend on the configuration, and weigh it."""
    folder = BUILD / names.stage
    clear(folder)
    copy_app(folder)
    shutil.copytree(vendor(), folder / "vendor", symlinks=True)
    compile_app(folder)
    (folder / "requirements.txt").write_text("# installed into vendor/ already\n")
    for path in folder.rglob("*"):
        os.utime(path, (EPOCH, EPOCH))
    return weigh(folder)


def configured(
    staged: Package, names: Names, environment: Mapping[str, str], layers: Mapping[str, str], **choices: Any
) -> Package:
    """The staged project with a configuration; its digest tells code and configuration."""
    configure(staged.folder, names, environment, layers, **choices)
    digest = hashlib.sha256(staged.archive.read_bytes())
    for path in sorted((staged.folder / ".chalice").glob("*.json")):
        digest.update(path.name.encode() + path.read_bytes())
    return replace(staged, digest=digest.hexdigest())


def clear(folder: Path) -> None:
    """Empty the staging folder but for Chalice's cache of zips and its record."""
    for path in [*folder.glob("*"), *folder.glob(".chalice/*.json")] if folder.is_dir() else []:
        if path.name != ".chalice":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    folder.mkdir(parents=True, exist_ok=True)


def copy_app(folder: Path) -> None:
    shutil.copy(PROJECT / "app.py", folder / "app.py")
    for path in sorted((PROJECT / "chalicelib").rglob("*")):
        below = path.relative_to(PROJECT)
        module = ".".join(below.with_suffix("").parts)
        if path.is_file() and "__pycache__" not in below.parts and not is_laptop_only(module):
            (folder / below).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, folder / below)


def is_laptop_only(module: str) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in LAPTOP_ONLY)


def vendor() -> Path:
    """The requirements, installed for Lambda and compiled, with Chalice's runtime compiled beside them; once per
    requirements file, Chalice and Python."""
    requirements = requirement_lines("requirements.txt")
    parts = [*requirements, sys.implementation.cache_tag or "", *(path.read_text() for path in chalice_runtime())]
    target = CACHE / f"vendor-{hashlib.sha256(chr(10).join(parts).encode()).hexdigest()[:16]}"
    if not target.is_dir():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
            site = Path(scratch) / "site"
            install(requirements, site)
            require_lambdas_libraries("what the functions need", site)
            trim(site)
            (site / "chalice").mkdir()
            for source in chalice_runtime():
                shutil.copy(source, site / "chalice" / source.name)
            compile_folder(site, "/var/task")
            for source in chalice_runtime():
                (site / "chalice" / source.name).unlink()  # Chalice adds them; their compiled forms stay
            keep_first(site, target)
    return target


def keep_first(made: Path, target: Path) -> None:
    """Put a folder where it is kept, unless somebody else was quicker."""
    try:
        made.rename(target)
    except OSError:
        if not target.is_dir():
            raise


def chalice_runtime() -> list[Path]:
    """What Chalice itself puts into a zip."""
    chalice = Path(importlib.util.find_spec("chalice").origin).parent  # type: ignore[union-attr, arg-type]
    return [chalice / "__init__.py", chalice / "app.py"]


def compile_app(folder: Path) -> None:
    """Compiled files are trusted as they are: in a zip their times say nothing. Chalice adds app.py, not what else lies
    beside it, so its compiled form goes with the requirements."""
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        shutil.copy(folder / "app.py", Path(scratch) / "app.py")
        compile_folder(Path(scratch), "/var/task")
        shutil.copytree(Path(scratch) / "__pycache__", folder / "vendor" / "__pycache__", dirs_exist_ok=True)
    compile_folder(folder / "chalicelib", "/var/task/chalicelib")


def configure(
    folder: Path,
    names: Names,
    environment: Mapping[str, str],
    layers: Mapping[str, str],
    *,
    reserve: bool = False,
    tracing: bool = False,
    secrets_url: str = "",
) -> None:
    """The stage's ``.chalice``, with no other stage."""
    config = project_config()
    stage = stage_config(config, names, environment, layers, "", reserve=reserve, tracing=tracing)
    write(folder / ".chalice" / "config.json", {**config, "app_name": names.app, "stages": {names.stage: stage}})
    for name, document in policies(names, tracing=tracing, secrets_url=secrets_url).items():
        write(folder / ".chalice" / name, document)


def configure_project(
    names: Names,
    environment: Mapping[str, str],
    layers: Mapping[str, str],
    *,
    reserve: bool,
    tracing: bool,
    secrets_url: str,
) -> Path:
    """The stage in the project's own ``.chalice``, for `chalice deploy` there; answers what was changed."""
    config = project_config()
    where = f"{PREPARED}/{names.stage}/"
    stage = stage_config(config, names, environment, layers, where, reserve=reserve, tracing=tracing)
    config["stages"][names.stage] = stage
    for name, document in policies(names, tracing=tracing, secrets_url=secrets_url).items():
        write(PROJECT / ".chalice" / where / name, document)
    path = PROJECT / ".chalice" / "config.json"
    path.write_text(json.dumps(config, indent=2) + "\n")
    return path


def project_config() -> dict[str, Any]:
    config: dict[str, Any] = json.loads((PROJECT / ".chalice" / "config.json").read_text())
    return config


def stage_config(
    config: dict[str, Any],
    names: Names,
    environment: Mapping[str, str],
    layers: Mapping[str, str],
    policies_in: str,
    *,
    reserve: bool,
    tracing: bool,
) -> dict[str, Any]:
    """Sizes and times are the project's ``dev`` stage's; names, layers and settings are this stage's."""
    stage: dict[str, Any] = copy.deepcopy(config["stages"]["dev"])
    functions = stage.pop("lambda_functions", {})
    for function in FUNCTIONS:
        own = functions.setdefault(function.handler, {})
        own["iam_policy_file"] = policies_in + function.policy
        own["layers"] = list(dict.fromkeys(layers[kind] for kind in function.layers))  # one may serve for both
        if reserve and function.reserved:
            own["reserved_concurrency"] = function.reserved
    return stage | {
        "iam_policy_file": policies_in + BY_HANDLER[API_HANDLER].policy,
        "environment_variables": dict(environment),
        "lambda_functions": functions,
        "xray": tracing,
        "tags": {"app": names.app, "stage": names.stage},
    }


def write(path: Path, document: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n")


# --- sizes --------------------------------------------------------------------------------------------------------


def weigh(folder: Path) -> Package:
    """Zip the staged project as Chalice will."""
    archive = BUILD / f"{folder.name}.zip"
    entries = {f"chalice/{path.name}": path for path in chalice_runtime()}
    entries |= {str(path.relative_to(folder / "vendor")): path for path in files_in(folder / "vendor")}
    entries |= {str(path.relative_to(folder)): path for path in files_in(folder / "chalicelib")}
    entries["app.py"] = folder / "app.py"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as target:
        for name, path in sorted(entries.items()):
            entry = zipfile.ZipInfo(name, DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            target.writestr(entry, path.read_bytes())
    unzipped = sum(path.stat().st_size for path in entries.values())
    return Package(folder, archive, archive.stat().st_size, unzipped, "")


def files_in(folder: Path) -> Iterator[Path]:
    yield from sorted(path for path in folder.rglob("*") if path.is_file())


def check_sizes(package: Package, layers: Mapping[str, Layer]) -> None:
    """Raises DeployFailed above Lambda's limits; what is built here also above our own, which leave room to grow."""
    if package.zipped > min(MOST_ZIPPED, LAMBDA_ZIPPED):
        raise DeployFailed(f"the app's zip has {package.zipped / MB:.1f} MB; at most {MOST_ZIPPED // MB} are allowed")
    together = sum(layer.zipped for layer in layers.values() if not layer.arn)
    if together > MOST_LAYERS_ZIPPED:
        raise DeployFailed(f"the layers have {together / MB:.1f} MB; at most {MOST_LAYERS_ZIPPED // MB} are allowed")
    for function in FUNCTIONS:
        own = {layers[kind].digest: layers[kind] for kind in function.layers if kind in layers}.values()
        size = package.unzipped + sum(layer.unzipped for layer in own)
        limit = LAMBDA_UNZIPPED if any(layer.arn for layer in own) else MOST_UNZIPPED
        if size > limit:
            raise DeployFailed(f"{function.handler} has {size / MB:.0f} MB unpacked; at most {limit // MB} are allowed")


# --- imports ------------------------------------------------------------------------------------------------------


def check_imports(package: Package, layers: Mapping[str, Layer]) -> None:
    """Raises DeployFailed when a function imports what is not in its zip, its layers or Lambda's runtime.

    The modules of all functions with the same layers are imported in an interpreter that sees nothing else, where this
    machine is like Lambda's; what they import later, inside functions, is looked up by name, and so is everything
    elsewhere. Shared libraries of a layer, somebody else's included, are known by their ELF headers.
    """
    with tempfile.TemporaryDirectory() as scratch:
        task = unpack(package.archive, Path(scratch) / "task")
        runtime = runtime_folder(Path(scratch) / "runtime")
        for layer in layers.values():
            for site in layer.sites():
                require_lambdas_libraries(f"the {layer.kind} layer", site)
        for wanted in sorted({function.layers for function in FUNCTIONS}):
            sites = [task, *(site for kind in wanted for site in layers[kind].sites())]
            together = [function for function in FUNCTIONS if function.layers == wanted]
            for function in together:
                missing = sorted(missing_imports(function, task, [*sites, runtime]))
                if missing:
                    raise DeployFailed(f"{function.handler} imports {', '.join(missing)}: in neither zip nor layers")
            if can_try():
                import_alone(together, sites, runtime)


def unpack(archive: Path, target: Path) -> Path:
    with zipfile.ZipFile(archive) as source:
        source.extractall(target)
    return target


def runtime_folder(folder: Path) -> Path:
    """What Lambda's Python brings beside the standard library, from this environment."""
    folder.mkdir(parents=True)
    for name in RUNTIME:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            raise DeployFailed(f"{name} is not installed here: make setup")
        origin = Path(spec.origin)
        source = origin.parent if origin.name == "__init__.py" else origin
        (folder / source.name).symlink_to(source)
    return folder


def import_alone(functions: list[Function], sites: list[Path], runtime: Path) -> None:
    modules = sorted({module for function in functions for module in function.modules})
    code = (
        f"import sys; sys.path[:0] = {[str(site) for site in sites]!r}; sys.path.append({str(runtime)!r})\n"
        f"import app\nfor name in {modules!r}: __import__(name)"
    )
    command = [sys.executable, "-I", "-S", "-B", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": os.defpath})
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1]
        names = ", ".join(function.handler for function in functions)
        raise DeployFailed(f"{names} cannot be imported as deployed: {last}")


def missing_imports(function: Function, task: Path, sites: list[Path]) -> set[str]:
    """Top-level packages that the function's modules, and all that these import, name and nobody has."""
    reached: set[str] = set(function.never)
    waiting = list(function.modules)
    named: set[str] = set()
    while waiting:
        module = waiting.pop()
        path = module_path(task, module)
        if module in reached or is_laptop_only(module) or path is None:
            continue
        reached.add(module)
        for found in named_in(path):
            (waiting.append(found) if found.startswith("chalicelib") else named.add(found))
    outside = {
        name for name in named if name not in GUARDED and name.partition(".")[0] not in ("chalice", *function.never)
    }
    return {name for name in outside if not available(name.partition(".")[0], sites)}


def module_path(task: Path, module: str) -> Path | None:
    base = task.joinpath(*module.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


@cache
def named_in(path: Path) -> tuple[str, ...]:
    """As :func:`imports_of`; the functions share most of their modules."""
    return tuple(imports_of(path))


def imports_of(path: Path) -> Iterator[str]:
    """Every module that a file imports anywhere, but in a ``try`` that catches ImportError or for types alone."""
    tree = ast.parse(path.read_text())
    skipped = {id(inner) for node in ast.walk(tree) if excused(node) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names if node.module.startswith("chalicelib"))


def excused(node: ast.AST) -> bool:
    if isinstance(node, ast.If):
        return isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    if isinstance(node, ast.Try):
        caught = [ast.unparse(handler.type) for handler in node.handlers if handler.type]
        return any("ImportError" in name or "ModuleNotFoundError" in name for name in caught)
    return False


def available(name: str, sites: Iterable[Path]) -> bool:
    if name in sys.stdlib_module_names:
        return True
    return any(list(site.glob(f"{name}.*")) or (site / name).is_dir() for site in sites)
