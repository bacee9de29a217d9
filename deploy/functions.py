"""The functions of the app: what each runs, and so which layers it needs and what must be importable there."""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.functions import MODULES
from deploy.names import API_HANDLER

PYARROW, PANDAS = "pyarrow", "pandas"
LAYERS = (PYARROW, PANDAS)


@dataclass(frozen=True, slots=True)
class Function:
    """One Lambda function, by the name of its handler in app.py."""

    handler: str
    layers: tuple[str, ...] = ()
    asynchronous: bool = True  # invoked by events: retried by Lambda, then dead-lettered
    reserved: int = 0  # executions kept for it, and the most it may have, where the account allows a reservation
    never: tuple[str, ...] = ()  # modules and packages that only other functions get to, though these name them

    @property
    def modules(self) -> tuple[str, ...]:
        """What its handler imports when it is called."""
        return MODULES[self.handler]

    @property
    def policy(self) -> str:
        return f"policy-{self.handler}.json"


#: Another function makes it, see Settings.result_function; what has Arrow's types (chalicelib/types.py) is that one's.
NO_RESULT_FILE = ("chalicelib.queries.athena.conversion", "pyarrow")
NO_PLAYS = (
    "chalicelib.plays.matching",
    "chalicelib.plays.owners",
    "chalicelib.exports.importing",
)  # a run's record holds no plays

FUNCTIONS = (
    Function(API_HANDLER, asynchronous=False, reserved=20, never=NO_RESULT_FILE),
    Function("bearer", asynchronous=False, reserved=10, never=NO_RESULT_FILE),
    Function("scheduled_extraction", reserved=1, never=NO_RESULT_FILE),
    Function("run_extraction", never=NO_RESULT_FILE),
    Function("transform", (PYARROW, PANDAS)),
    Function("transform_run", (PYARROW,), never=NO_PLAYS),
    Function("import_history", (PYARROW, PANDAS)),
    Function("maintain", (PYARROW, PANDAS), reserved=1),
    Function("result_file", (PYARROW,), asynchronous=False),
)
BY_HANDLER = {function.handler: function for function in FUNCTIONS}
