"""A token of one listener and hostile values in every parameter of every report: nobody else has any part in answers.

Each question goes to two services: one whose lake holds two listeners, and one that never heard of the second. Whatever
is asked, both answer the same, errors included: a word of the second listener in an answer of the first, or a number
that knows of them, would be a difference. No answer is a failure of the service.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import pytest
import requests

from chalicelib.reports import catalogue
from chalicelib.rest.access import LISTENER, Access
from chalicelib.stores import open_secrets
from tests.rest.test_one_listener import ANN, BEN, EVERY, OWN, SECRET, item, make
from tests.support.listening import settings_for
from tests.support.server import LakeServer

KNOWN = [  # what stands in the other's lake alone, and how it may be written otherwise
    BEN,
    BEN.upper(),
    BEN.lower(),
    f" {BEN}\t",
    f"{BEN}.spotify",
    f"{SECRET} Ben",
    f"{SECRET} Band W",
    f"{SECRET} Song W",
    f"{SECRET} Album W",
    f"{SECRET} Mix",
    f"{SECRET} genre",
    item("W"),
    f"spotify:track:{item('W')}",
    SECRET.lower(),
    SECRET[0],
]
ALIKE = [  # names that look like the listener's own, or like the other's
    "Ann",
    "\N{CYRILLIC SMALL LETTER A}nn",
    "\N{FULLWIDTH LATIN SMALL LETTER A}nn",
    f"{ANN}\N{ZERO WIDTH SPACE}",
    f"{ANN}\N{COMBINING ACUTE ACCENT}",
    f"\N{RIGHT-TO-LEFT OVERRIDE}{BEN}",
    BEN.replace("E", "\N{CYRILLIC CAPITAL LETTER IE}"),
    "".join(chr(ord(letter) + 0xFEE0) for letter in SECRET),  # fullwidth
]
SQL = [
    "'",
    "''",
    '"',
    "\\",
    f"' OR user_id = '{BEN}' --",
    f"{ANN}' OR '1'='1",
    f"\\' OR user_id = \\'{BEN}",
    f"\N{RIGHT SINGLE QUOTATION MARK} OR user_id = \N{RIGHT SINGLE QUOTATION MARK}{BEN}",
    "' UNION SELECT artist_name, 1, 1, 1, 1, 1, 1 FROM plays --",
    "'; SELECT * FROM plays; --",
    ") SELECT * FROM listeners --",
    "1 OR 1=1",
    "--",
    "/*",
    "*/ OR 1=1 /*",
    "?",
    ":user",
    ":user OR 1=1",
    "user_id",
    "%",
    "_",
    f"%{SECRET}%",
    ".*",
    f"({SECRET}|.)*",
    "own_plays",
]
SHAPES = [
    "",
    " ",
    "\x00",
    f"{ANN}\x00{BEN}",
    "\r\nX-Listener: ben",
    f"{ANN},{BEN}",
    f"['{ANN}', '{BEN}']",
    f'["{BEN}"]',
    f'{{"$ne": "{ANN}"}}',
    "null",
    "true",
    "0",
    "-1",
    "1.5",
    "1e9",
    "٣",
    "9" * 18,
    "9" * 400,
    "NaN",
    "all",
    "1970",
    "2026-10",
    "9999y",
    "0001-01-01",
    "2026-13-45",
    "Europe/Berlin",
    "../../etc/passwd",
    "/etc/localtime",
    "\N{MUSICAL SYMBOL G CLEF}\N{PILE OF POO}",
    "e\N{COMBINING ACUTE ACCENT}" * 200,
    f"{BEN} " * 40,
    "x" * 501,
    "x" * 6_000,
]
HOSTILE = [*KNOWN, *ALIKE, *SQL, *SHAPES]
FOREIGN = [  # names that are no parameter, or nearly one
    *("User", "USER", "user ", " user", "user[]", "user[0]", "user.id", "user_id", "users", "user\x00", "user'--"),
    *("u\N{LATIN SMALL LETTER LONG S}er", "listener", "only", "token", "sql", "name", "csv", "from", "to", ""),
    "previous_from",
]  # fmt: skip
TELLING = {"period": "all", "artist": "Band a", "genre": "genre", "playlist": item("a")}  # with which answers have rows
REFUSED = {"GET": (400, 403), "PUT": (403,), "POST": (404, 405)}  # a report that is not one listener's, by method
OWN_NAMES = re.compile(r'"query_id\\?":\\?"[^"]*"|/queries/[\w-]+')
SAMPLE = 48  # one question of so many


@dataclass(frozen=True)
class Question:
    """How a report is asked for, beyond its name."""

    query: list[tuple[str, str]] = field(default_factory=list)
    method: str = "GET"
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None


def sample(questions: Iterable[Any], of: str, share: int) -> Iterator[Any]:
    """One question of so many, others of each report; all of them where ``share`` is 1."""
    return islice(questions, sum(of.encode()) % share, None, share)


def every_question(name: str) -> Iterator[Question]:
    """Every hostile value in each parameter; names that are none; one given several times; words beside the query."""
    named = [parameter.name for parameter in catalogue.report(name).parameters]
    for parameter in named:
        rest = [(each, value) for each, value in TELLING.items() if each in named and each != parameter]
        for value in HOSTILE:
            yield Question([*rest, (parameter, value)])
        for pair in ((ANN, BEN), (BEN, ANN), (BEN, BEN)):
            yield Question([*rest, *((parameter, value) for value in pair)])
        yield Question([*rest, (parameter, BEN), (parameter.upper(), ANN)])
    rest = [(each, value) for each, value in TELLING.items() if each in named]
    for parameter in FOREIGN:
        yield Question([*rest, (parameter, BEN)])
    for headers in (
        {"X-Listener": BEN},
        {"X-User-Id": BEN, "X-Forwarded-User": BEN},
        {"Cookie": f"listener={BEN}; user={BEN}"},
        {"X-HTTP-Method-Override": "PUT"},
        {"Accept": "text/csv"},
    ):
        yield Question([*rest, *([("user", BEN)] if "user" in named else [])], headers=headers)
    yield Question(rest, body={"user": BEN})
    yield Question(body={"user": BEN}, method="POST")
    yield Question(body={"parameters": {"user": BEN}}, method="PUT")


@dataclass(frozen=True)
class Place:
    """A service and the listener's session there."""

    server: LakeServer
    session: requests.Session

    def told(self, name: str, question: Question) -> tuple[int, str]:
        """The status and what is said, but for what each answer has of its own."""
        answer = self.session.request(
            question.method,
            f"{self.server.url}/reports/{name}",
            params=question.query,
            json=question.body,
            headers=question.headers,
            timeout=60,
        )
        return answer.status_code, said(answer)

    def told_an_assistant(self, name: str, values: Any) -> Any:
        """What the tool of an assistant answers."""
        call = {"name": "run_report", "arguments": {"name": name, "parameters": values}}
        request = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
        answer = self.session.post(f"{self.server.url}/mcp", json=request, timeout=60)
        assert answer.status_code < 500, (name, values, answer.text)
        return said(answer)


def said(answer: requests.Response) -> str:
    """The body, but for the names that each query has of its own."""
    return OWN_NAMES.sub("", answer.text)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Place, Place]]:
    """With the other listener, and without."""
    found = []
    for users in ((ANN, BEN), (ANN,)):
        folder = tmp_path_factory.mktemp("-and-".join(users).lower())
        make(folder, *users)
        token = Access(settings_for(folder), open_secrets(settings_for(folder))).add("test", LISTENER, None, ANN)[1]
        session = requests.Session()
        session.headers["Authorization"] = f"Bearer {token}"
        found.append(Place(LakeServer(folder, {"REQUESTS_PER_MINUTE": "1000000"}), session))
    yield found[0], found[1]
    for place in found:
        place.session.close()
        place.server.stop()


def asked(places: tuple[Place, Place], ask: Any) -> tuple[Any, Any]:
    """The same question to both at once."""
    with ThreadPoolExecutor(2) as threads:
        both, alone = threads.map(ask, places)
    return both, alone


SHARES = pytest.mark.parametrize(
    "share",
    [pytest.param(SAMPLE, id="some"), pytest.param(1, id="all", marks=[pytest.mark.soak, pytest.mark.timeout(1800)])],
)


@pytest.mark.thorough
@SHARES
@pytest.mark.parametrize("name", OWN)
def test_no_value_of_a_parameter_shows_anything_of_another_listener(
    places: tuple[Place, Place], name: str, share: int
) -> None:
    for question in sample(every_question(name), name, share):
        both, alone = asked(places, lambda place, question=question: place.told(name, question))
        assert both[0] < 500, (question, both)
        assert both == alone, question


@pytest.mark.thorough
@SHARES
@pytest.mark.parametrize("name", sorted(set(EVERY) - set(OWN)))
def test_no_value_opens_a_report_that_is_not_one_listeners(places: tuple[Place, Place], name: str, share: int) -> None:
    for question in sample(every_question(name), name, share):
        both, alone = asked(places, lambda place, question=question: place.told(name, question))
        assert both == alone, question
        assert both[0] in REFUSED[question.method], (question, both)


JSON_VALUES: list[Any] = [
    *([BEN], [ANN, BEN], {"user": BEN}, {"$ne": ANN}, [[[]]], BEN),
    *(None, True, 0, -1, 1.5, 1e300, 10**30),
]


@pytest.mark.thorough
@SHARES
@pytest.mark.parametrize("name", OWN)
def test_nothing_that_an_assistant_sends_shows_anything_of_another_listener(
    places: tuple[Place, Place], name: str, share: int
) -> None:
    """What JSON can say where a text is expected, and no object at all."""
    named = [*(parameter.name for parameter in catalogue.report(name).parameters), "user", "User"]
    telling = {each: value for each, value in TELLING.items() if each in named}
    sent = [telling | {each: value} for each in named for value in JSON_VALUES]
    for values in sample([*sent, [BEN], BEN, None, 1], name, share):
        both, alone = asked(places, lambda place, values=values: place.told_an_assistant(name, values))
        assert both == alone, values
