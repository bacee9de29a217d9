"""The first hour on AWS, with nothing but what the screen and the documents say: deploy, log in, invite, look."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from deploy.layers import CACHE
from sandbox.listener import Listener
from sandbox.server import Sandbox
from tests.deployed.conftest import scheduled_event
from tests.emulator import Emulator, front_door
from tests.emulator.gateway import Api
from tests.support import overview, trino
from tests.support.browser import Visit, started
from tests.support.newcomer import DEPLOYS, RUNS, Newcomer, agreed, checked_out, go_to
from tests.support.pages import shown_list, words

DEPLOYING = 600.0  # s: layers are built and tried out, requirements fetched
FIRST_ANSWER = 300_000  # ms: as long as a run may take to settle; each interpreter and each query of a page is new
PERIOD = {"period": "1y", "timezone": "UTC"}


@pytest.fixture(scope="module")
def aws() -> Iterator[Emulator]:
    trino.needed()
    with Emulator(deploys=True) as aws, aws.in_environment():
        aws.functions.slower = 10  # a page asks for many things at once, each of which begins an interpreter
        yield aws


@pytest.fixture(scope="module")
def spotify() -> Iterator[Sandbox]:
    """A stand-in for Spotify, where nobody plays anything more while the friends look at what they played."""
    with Sandbox(mode="development", scale="household", frozen=True) as sandbox:
        yield sandbox


class Owner(Newcomer):
    """Who deploys the lake, and types at it from their laptop."""

    def __init__(self, folder: Path, spotify: Sandbox, aws: Emulator) -> None:
        checked_out(folder, (*RUNS, *DEPLOYS))
        (folder / "build").mkdir()
        (folder / "build" / "cache").symlink_to(CACHE)  # what was fetched once is named by its content
        super().__init__(folder, spotify, ("deploy.md", "friends.md", "dashboard-inside.md"))
        self.environ |= {**aws.environ, "QUERY_SECONDS": "900"}  # Trino and all functions share a few processors
        self.aws = aws

    def deploys_it(self) -> str:
        """As docs/deploy.md has it, up to the lines to copy; answers the API's address."""
        told = self.deploys("python -m deploy up --stage dev", DEPLOYING)
        self.environ |= dict(re.findall(r"^ *export (\w+)=(\S+)", told, re.MULTILINE))
        (address,) = re.findall(r"The API: (https://\S+)", told)
        return str(address).rstrip("/")

    def token(self) -> str:
        (token,) = re.findall(r"lake_\S+", self.types(".venv/bin/lake token add --name laptop --scope run"))
        return str(token)

    def invites(self, name: str, address: str) -> str:
        """The link that the command prints, once it knows the API's address."""
        self.environ["PUBLIC_URL"] = address
        (link,) = re.findall(r"https://\S+/join\S+", self.types(f".venv/bin/lake invite {name}"))
        return str(link)

    def reported(self, name: str, user: str = "", **values: Any) -> list[dict[str, Any]]:
        """A report's rows, as the command prints them."""
        chosen = PERIOD | {"user": user} | values
        given = " ".join(f'--set "{key}={value}"' for key, value in chosen.items() if value)
        shown = self.types(f".venv/bin/lake report {name} {given} --format json")
        rows: list[dict[str, Any]] = json.loads(shown[shown.index("[") : shown.rindex("]") + 1])
        return rows


@pytest.fixture(scope="module")
def owner(tmp_path_factory: pytest.TempPathFactory, aws: Emulator, spotify: Sandbox) -> Owner:
    owner = Owner(tmp_path_factory.mktemp("clone"), spotify, aws)
    owner.has_credentials()
    return owner


@pytest.fixture(scope="module")
def address(owner: Owner) -> str:
    return owner.deploys_it()


@pytest.fixture(scope="module")
def browser(aws: Emulator, address: str) -> Iterator[Browser]:
    """One that finds the API under the address that was printed."""
    api = Api(aws, re.sub(r"https://(\w+)\..*", r"\1", address), remembers=True)
    with front_door.opened(api) as found, started(found) as browser:
        yield browser


def check_an_owner_deploys_and_invites_friends_and_all_see_what_they_heard(
    owner: Owner, spotify: Sandbox, aws: Emulator, address: str, browser: Browser
) -> None:
    first, second, third = list(spotify.world.listeners.values())[:3]
    owner.types(".venv/bin/lake login")
    visit = Visit(browser, address, None, waits=FIRST_ANSWER, timezone_id="UTC", ignore_https_errors=True)
    visit.page.goto(address + "/")
    visit.page.get_by_label("API token").fill(owner.token())
    visit.page.get_by_role("button", name="Open the lake").click()
    visit.settle()
    expect(visit.page.locator("main")).to_contain_text("The lake is empty")
    assert aws.functions.failures == []
    for name, friend, link in (
        ("Ben", second, invited_by_the_page(visit, "Ben")),
        ("Cleo", third, owner.invites("Cleo", address)),
    ):
        assert f"{name} is logged in until" in agreed(browser, spotify, friend, link)
    everybody = {first.person.display_name: first, "Ben": second, "Cleo": third}
    the_schedule_fires(aws)
    look_at_the_overview(visit, owner, "", plays_of(spotify, *everybody.values()))
    artists = owner.reported("top_artists", limit=10)
    assert shown_list(visit, "Top artists") == overview.ranked(artists, "artist", None, comparable=False)
    for name in (first.person.display_name, "Ben"):
        look_at_the_overview(visit, owner, name, plays_of(spotify, everybody[name]))
    nobody_is_split(visit, owner, everybody)
    assert aws.denied == [] and aws.functions.failures == []
    assert visit.faults == []
    visit.close()


def invited_by_the_page(visit: Visit, name: str) -> str:
    go_to(visit, "Pipeline")
    visit.allow("404")  # no run and no crawl yet
    visit.page.get_by_label("Somebody new").fill(name)
    visit.page.get_by_role("button", name="Invite").click()
    link = visit.panel("Listeners").get_by_role("status").get_by_role("link")
    return str(link.get_attribute("href"))


def the_schedule_fires(aws: Emulator) -> None:
    """Extraction, then maintenance, and what they set going."""
    events = aws.client("events")
    for name in sorted((rule["Name"] for rule in events.list_rules()["Rules"]), key=lambda name: "maintain" in name):
        (target,) = events.list_targets_by_rule(Rule=name)["Targets"]
        outcome = aws.functions.call(target["Arn"].rpartition(":")[2], scheduled_event())
        assert not outcome.failed, outcome.payload.decode() + outcome.log
        aws.settle(300)


def plays_of(spotify: Sandbox, *listeners: Listener) -> int:
    """What Spotify shows of their last plays."""
    now = spotify.clock.now_ms()
    return sum(len({(play.played_at_ms, play.number) for play in each.recently_played(now)}) for each in listeners)


def look_at_the_overview(visit: Visit, owner: Owner, name: str, plays: int) -> None:
    """Everybody's, or that of one listener by name: what it shows is what the command prints, and what they heard."""
    visit.open("#/overview?period=1y&timezone=UTC")
    if name:
        visit.page.locator("#select-user").select_option(label=name)
        visit.page.wait_for_url("**user=**")
        visit.settle()
    (totals,) = owner.reported("dashboard_totals", name)
    assert totals["plays"] == plays > 0
    assert int(visit.figure("Plays").replace(",", "")) == plays
    shown = {words(figure.locator("dt").inner_text()): words(figure.locator("dd").first.inner_text())
             for figure in visit.page.locator(".figure").all()}  # fmt: skip
    told = {figure.title: figure.value for figure in overview.figures(totals, comparable=False)}
    assert {title: shown[title] for title in told} == told


def nobody_is_split(visit: Visit, owner: Owner, everybody: dict[str, Listener]) -> None:
    """On the page, to the command and in the tables there is one of each, and everybody's plays are of one of them."""
    assert sorted(visit.offered("#select-user")) == sorted(["Everybody", *everybody])
    go_to(visit, "Pipeline")
    expect(visit.panel("Listeners").locator("strong")).to_have_text(sorted(everybody, key=str.casefold))
    expect(visit.page.locator("table.runs .badge").first).to_have_text(re.compile("succeeded|partial"))
    listed = owner.types(".venv/bin/lake listeners list")
    assert [listed.count(listener.account_id) for listener in everybody.values()] == [1] * len(everybody)
    assert owner.counted("SELECT count(*) AS listeners FROM listeners") == len(everybody)
    assert owner.counted("SELECT count(DISTINCT user_id) AS listeners FROM plays") == len(everybody)
