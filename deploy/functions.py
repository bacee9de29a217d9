"""The functions of the app: what each runs, and so which layers it needs and what must be importable there."""

from __future__ import annotations

from dataclasses import dataclass

from deploy.names import API_HANDLER

PYARROW, PANDAS = "pyarrow", "pandas"
LAYERS = (PYARROW, PANDAS)


@dataclass(frozen=True, slots=True)
class Function:
    """One Lambda function. ``modules`` are what its handler imports when it is called."""

    handler: str
    modules: tuple[str, ...]
    layers: tuple[str, ...] = ()
    asynchronous: bool = True  # invoked by events: retried by Lambda, then dead-lettered
    never: tuple[str, ...] = ()  # modules that only other functions get to, though these name them

    @property
    def policy(self) -> str:
        return f"policy-{self.handler}.json"


SERVICE = ("chalicelib.wiring", "chalicelib.lake", "chalicelib.stores.s3")
EXTRACTION = ("chalicelib.extraction.extract", "chalicelib.stores.secrets_aws", *SERVICE)
TRANSFORM = (
    "chalicelib.pipeline",
    "chalicelib.transformation.transform",
    "chalicelib.plays.resolutions",
    "chalicelib.queries.athena.glue",
    *SERVICE,
)
RESOLVE = ("chalicelib.plays.matching", *TRANSFORM)
IMPORT = ("chalicelib.exports.importing", *RESOLVE)

NO_RESULT_FILE = ("chalicelib.queries.athena.conversion",)  # another function makes it, see Settings.result_function
NO_PLAYS = ("chalicelib.plays.matching", "chalicelib.exports.importing")  # a run's record holds no plays

FUNCTIONS = (
    Function(
        API_HANDLER,
        (
            "chalicelib.rest.api",
            "chalicelib.rest.gateway",
            "chalicelib.queries.athena.engine",
            "chalicelib.extraction.starting",
            *SERVICE,
        ),
        asynchronous=False,
        never=NO_RESULT_FILE,
    ),
    Function(
        "bearer",
        ("chalicelib.rest.access", "chalicelib.rest.gateway", "chalicelib.stores.secrets_aws"),
        asynchronous=False,
        never=NO_RESULT_FILE,
    ),
    Function("scheduled_extraction", EXTRACTION, never=NO_RESULT_FILE),
    Function("run_extraction", EXTRACTION, never=NO_RESULT_FILE),
    Function("transform", RESOLVE, (PYARROW, PANDAS)),
    Function("transform_run", TRANSFORM, (PYARROW,), never=NO_PLAYS),
    Function("import_history", IMPORT, (PYARROW, PANDAS)),
    Function("maintain", IMPORT, (PYARROW, PANDAS)),
    Function("result_file", ("chalicelib.queries.athena.conversion", *SERVICE), (PYARROW,), asynchronous=False),
)
BY_HANDLER = {function.handler: function for function in FUNCTIONS}
