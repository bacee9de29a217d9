"""Invitations and who is who over the API: a friend's way in by a link, and what is said of listeners."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import requests

from chalicelib.errors import Forbidden, InvalidRequest, NotFound, Unauthorized
from chalicelib.lake import Lake
from chalicelib.listeners import KnownListeners
from chalicelib.rest.access import Access
from chalicelib.rest.api import Api
from chalicelib.rest.gateway import gateway_address
from chalicelib.rest.invitations import Invitations, base_address
from chalicelib.rest.messages import Reply, Request
from chalicelib.settings import Settings
from chalicelib.spotify import auth
from chalicelib.stores.s3 import BucketStore
from chalicelib.stores.secrets_aws import ManagedSecrets
from chalicelib.transformation.transform import transform_object
from deploy.functions import BY_HANDLER
from deploy.names import API_HANDLER, Names
from deploy.policies import policy
from sandbox.server import Sandbox
from tests.emulator import ACCOUNT, REGION, shared
from tests.emulator.stage import make_bucket, make_role
from tests.support.extraction import World, world
from tests.support.listening import account_row, extended_row, write_export
from tests.support.server import LakeServer, eventually

CALLBACK = "https://lake.example/callback"


@pytest.fixture
def made(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as made:
        for name in made.secrets.names():
            made.secrets.delete(name)
        yield made


@pytest.fixture
def invitations(made: World) -> Invitations:
    return Invitations(made.settings, made.secrets, made.clock)


def consent(page: str, user: str | None = None, **more: str) -> dict[str, str]:
    """What Spotify sends back of who is at its page."""
    query = more | ({"user_id": user} if user else {})
    answer = requests.get(f"{page}&{urlencode(query)}", timeout=10, allow_redirects=False)
    assert answer.status_code == 302, answer.text
    return {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["Location"]).query).items()}


def finish(invitations: Invitations, told: dict[str, str], cookie: str, **more: Any) -> Any:
    given = {"known": KnownListeners(), "tell": lambda _: None, **more}
    return invitations.finish(told.get("state", ""), cookie, told.get("code", ""), CALLBACK, **given)


def test_a_link_leads_to_spotify_and_back_and_works_once(made: World, invitations: Invitations) -> None:
    invitation, code = invitations.invite("Ann")
    page, cookie = invitations.begin(code, CALLBACK)
    query = parse_qs(urlsplit(page).query)
    assert query["code_challenge_method"] == ["S256"] and len(query["state"][0]) >= 32
    assert query["redirect_uri"] == [CALLBACK]
    logins: list[auth.Login] = []
    assert finish(invitations, consent(page), cookie, tell=logins.append) == invitation
    listener = made.sandbox.world.default_listener
    assert [each.user_id for each in auth.listeners(made.secrets)] == [listener.account_id] == [logins[0].user_id]
    assert logins[0].profile["display_name"] == listener.person.display_name
    assert invitations.open_ones() == []
    with pytest.raises(Unauthorized, match="taken already"):
        invitations.begin(code, CALLBACK)


def test_a_preview_of_the_link_does_not_take_it(invitations: Invitations) -> None:
    _, code = invitations.invite("Ann")
    for _ in range(30):
        invitations.begin(code, CALLBACK)
    page, cookie = invitations.begin(code, CALLBACK)
    assert finish(invitations, consent(page), cookie)


def test_what_is_kept_holds_neither_link_nor_state_nor_cookie(made: World, invitations: Invitations) -> None:
    _, code = invitations.invite("Ann")
    page, cookie = invitations.begin(code, CALLBACK)
    kept = made.secrets.read("api-invitations") or ""
    assert kept and not any(each in kept for each in (code, cookie, parse_qs(urlsplit(page).query)["state"][0]))


def test_it_ends_after_a_week_and_a_stay_at_spotifys_page_after_minutes(made: World, invitations: Invitations) -> None:
    _, code = invitations.invite("Ann")
    page, cookie = invitations.begin(code, CALLBACK)
    told = consent(page)
    made.advance(minutes=16)
    with pytest.raises(Unauthorized, match="open the link again"):
        finish(invitations, told, cookie)
    made.advance(days=7)
    with pytest.raises(Unauthorized, match="too old"):
        invitations.begin(code, CALLBACK)


def test_another_browser_or_another_state_is_not_let_in_and_nothing_is_stored(
    made: World, invitations: Invitations
) -> None:
    _, code = invitations.invite("Ann")
    page, cookie = invitations.begin(code, CALLBACK)
    told = consent(page)
    for state, kept in ((told["state"], ""), (told["state"], "x"), ("x", cookie), ("", "")):
        with pytest.raises(Unauthorized, match="not the answer"):
            finish(invitations, {**told, "state": state}, kept)
    assert auth.listeners(made.secrets) == []
    assert finish(invitations, told, cookie)


def test_a_code_of_another_login_is_refused_by_spotify_for_its_verifier(made: World, invitations: Invitations) -> None:
    codes = [invitations.invite(name)[1] for name in ("Ann", "Eve")]
    (ann, cookie), (eve, _) = [invitations.begin(code, CALLBACK) for code in codes]
    stolen = consent(eve)["code"]
    with pytest.raises(Exception, match="no longer takes"):
        finish(invitations, {**consent(ann), "code": stolen}, cookie)
    assert auth.listeners(made.secrets) == []
    assert len(invitations.open_ones()) == 2


def test_who_declines_may_think_again(invitations: Invitations) -> None:
    _, code = invitations.invite("Ann")
    page, cookie = invitations.begin(code, CALLBACK)
    with pytest.raises(Unauthorized, match="did not agree"):
        finish(invitations, consent(page, deny="1"), cookie)
    page, cookie = invitations.begin(code, CALLBACK)
    assert finish(invitations, consent(page), cookie)


def test_a_link_to_renew_is_the_listeners_alone(made: World, invitations: Invitations) -> None:
    listener = made.sandbox.world.default_listener
    _, code = invitations.invite("Ben", "somebody else")
    page, cookie = invitations.begin(code, CALLBACK)
    with pytest.raises(Forbidden, match="this link renews Ben"):
        finish(invitations, consent(page), cookie)
    assert auth.listeners(made.secrets) == []
    _, code = invitations.invite("Ann", listener.account_id)
    page, cookie = invitations.begin(code, CALLBACK)
    assert finish(invitations, consent(page), cookie)


def test_a_listener_has_one_link_to_renew_however_often_they_ask(invitations: Invitations) -> None:
    codes = [invitations.invite("Ann", "ann")[1] for _ in range(30)]
    assert len(invitations.open_ones()) == 1
    with pytest.raises(Unauthorized):
        invitations.begin(codes[0], CALLBACK)
    assert invitations.begin(codes[-1], CALLBACK)


def test_a_withdrawn_one_is_closed_and_no_more_than_twenty_are_open(invitations: Invitations) -> None:
    made = [invitations.invite(str(number)) for number in range(20)]
    with pytest.raises(InvalidRequest, match="withdraw one"):
        invitations.invite("one more")
    invitations.withdraw(made[0][0].invitation_id)
    with pytest.raises(Unauthorized):
        invitations.begin(made[0][1], CALLBACK)
    with pytest.raises(NotFound):
        invitations.withdraw(made[0][0].invitation_id)


@pytest.mark.parametrize(
    ("public_url", "host", "address"),
    [
        ("https://lake.example/", "127.0.0.1:8000", "https://lake.example"),
        ("", "127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("", "localhost:8000", "http://127.0.0.1:8000"),
        ("", "evil.example", None),
        ("", "127.0.0.1.evil.example", None),
        ("http://lake.example", "127.0.0.1:8000", None),
        ("http://127.0.0.1.evil.example", "", None),
    ],
)
def test_spotify_sends_people_back_to_https_or_to_this_computer(
    public_url: str, host: str, address: str | None
) -> None:
    settings = Settings(public_url=public_url)
    if address is None:
        with pytest.raises(InvalidRequest, match="PUBLIC_URL"):
            base_address(settings, host)
    else:
        assert base_address(settings, host) == address


def test_on_aws_the_gateway_is_the_address_unless_there_is_a_better_one() -> None:
    on_aws = Settings(lake_url="s3://lake")
    gateway = gateway_address({"domainName": "a1.execute-api.eu-west-1.amazonaws.com", "stage": "api"})
    assert base_address(on_aws, "x", gateway) == "https://a1.execute-api.eu-west-1.amazonaws.com/api"
    with pytest.raises(InvalidRequest, match="PUBLIC_URL"):
        base_address(on_aws, "127.0.0.1:8000", gateway_address({}))


# --- over HTTP ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def spotify() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def server(tmp_path: Path, spotify: Sandbox) -> Iterator[LakeServer]:
    environ = {
        "SPOTIFY_API_URL": spotify.api_url.rstrip("/"),
        "SPOTIFY_ACCOUNTS_URL": spotify.accounts_url.rstrip("/"),
        "SPOTIPY_CLIENT_ID": spotify.client_id,
        "SPOTIPY_CLIENT_SECRET": spotify.client_secret,
    }
    with LakeServer(tmp_path, environ) as running:
        yield running


def bring(server: LakeServer, rows: list[dict[str, Any]], **whose: str) -> dict[str, Any]:
    path = write_export(server.folder / "StreamingHistory0.json", rows)
    announced = server.post("/imports", json={"filename": path.name, **whose})
    assert announced.status_code == 201, announced.text
    server.put(f"/{announced.json()['upload']['url']}", data=path.read_bytes())
    look = lambda: (one := server.get(announced.headers["Location"]).json())["state"] in ("succeeded", "failed") and one  # noqa: E731
    return dict(eventually(look))


def people(server: LakeServer) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in server.get("/listeners").json()["listeners"]}


@pytest.mark.thorough
def test_a_friend_who_was_imported_first_logs_in_by_the_link_and_is_one_person(
    server: LakeServer, spotify: Sandbox
) -> None:
    """From an empty lake, without the owner's computer: import, invitation, consent, one listener with one name."""
    done = bring(server, [account_row("2025-03-01 10:04", 40_000)])
    assert (done["state"], done["error"]["details"]["known"]) == ("failed", [])
    assert "nobody has logged in" in done["error"]["message"] and "a choice on the page" in done["error"]["message"]
    done = bring(server, [account_row("2025-03-01 10:04", 40_000)], new_listener="Ann Lee")
    assert (done["state"], done["summary"]["user_id"]) == ("succeeded", "Ann Lee")
    assert server.post("/imports", json={"filename": "a.zip", "new_listener": "ann lee"}).status_code == 400
    made = server.post("/invitations", json={"name": "Ann Lee"})
    assert made.status_code == 201
    assert [one["url"] for one in server.get("/invitations").json()["invitations"]] == [None]
    friend = requests.Session()
    page = friend.get(made.json()["url"], timeout=20, headers={"Accept": "text/html"})
    assert page.status_code == 200 and "Ann Lee is logged in until" in page.text
    account = spotify.world.default_listener
    assert server.get("/invitations").json() == {"invitations": []}
    (ann,) = people(server).values()
    assert (ann["user_id"], ann["name"], ann["has_logged_in"]) == (account.account_id, "Ann Lee", True)
    assert set(ann["ids"]) == {account.account_id, account.id, "Ann Lee"}
    assert ann["display_name"] == account.person.display_name
    ends = datetime.fromisoformat(ann["authorization_ends_at"])
    assert timedelta(days=178) < ends - datetime.now(UTC) < timedelta(days=186)
    expected = [[account.account_id, "Ann Lee", 1]]
    assert eventually(lambda: server.rows("SELECT user_id, name, listens FROM listeners") == expected)
    again = friend.get(made.json()["url"], timeout=20, headers={"Accept": "text/html"})
    assert again.status_code == 401 and "taken already" in again.text and "<p>" in again.text
    used = {made.json()["url"].rpartition("=")[2], *friend.cookies.values(), spotify.client_secret}
    assert used and not any(secret in server.log() for secret in used)


@pytest.mark.thorough
def test_a_link_for_somebody_new_renames_and_merges_nobody_who_is_a_listener_already(
    server: LakeServer, spotify: Sandbox
) -> None:
    """The owner tries the link for Ben in their own browser, which is logged in to Spotify as the owner."""
    bring(server, [account_row("2025-03-01 10:04", 40_000)], new_listener="Ben")

    def joined(name: str) -> requests.Response:
        made = server.post("/invitations", json={"name": name} if name else {}).json()
        return requests.Session().get(made["url"], timeout=20, headers={"Accept": "text/html"})

    owner = spotify.world.default_listener.person.display_name
    assert f"{owner} is logged in" in joined("").text
    refused = joined("Ben")
    assert refused.status_code == 403
    assert f"as {owner}, who is a listener here already, and this link is for Ben" in refused.text
    assert "private window" in refused.text
    assert len(server.get("/invitations").json()["invitations"]) == 1
    assert {(name, one["has_logged_in"]) for name, one in people(server).items()} == {(owner, True), ("Ben", False)}
    assert joined(owner).status_code == 200


@pytest.mark.thorough
def test_names_merges_and_shares_over_the_api(server: LakeServer) -> None:
    bring(server, [extended_row("2025-03-01T10:04:00Z", 40_000)], new_listener="Ann")
    bring(server, [extended_row("2025-03-01T10:04:00Z", 40_000)], new_listener="Ben")
    assert server.put("/listeners", json={"listener": "ann", "name": "Mum"}).json()["user_id"] == "Ann"
    assert server.put("/listeners", json={"listener": "Mum", "name": "Ben"}).status_code == 409
    assert server.put("/listeners", json={"listener": "Nobody", "name": "x"}).status_code == 404
    count = "SELECT user_id, count(*) FROM plays GROUP BY 1 ORDER BY 1"
    assert server.rows(count) == [["Ann", 1], ["Ben", 1]]
    assert server.post("/merges", json={"listener": "Ben", "into": "Mum"}).json()["ids"] == ["Ann", "Ben"]
    assert eventually(lambda: server.rows(count) == [["Ann", 1]])
    assert server.delete("/merges", params={"listener": "Ben"}).json()["user_id"] == "Ben"
    assert eventually(lambda: server.rows(count) == [["Ann", 1], ["Ben", 1]])
    assert server.delete("/merges", params={"listener": "Ben"}).status_code == 404
    share = server.post("/shares", json={"listener": "Mum", "name": "Grandma", "until": "2099-12-31"}).json()
    assert share["url"].startswith(f"{server.url}/#share=lake_") and share["expires_at"] == "2100-01-01T00:00:00.000Z"
    (listed,) = server.get("/shares").json()["shares"]
    assert (listed["token_id"], listed["listener"], listed["token"]) == (share["token_id"], "Ann", None)
    own = {"Authorization": f"Bearer {share['token']}"}
    seen = requests.get(f"{server.url}/reports/dashboard_listeners", headers=own, timeout=20).json()
    assert [row[:2] for row in seen["rows"]] == [["Ann", "Mum"]]
    assert requests.get(f"{server.url}/shares", headers=own, timeout=10).status_code == 403
    assert server.delete(f"/shares/{share['token_id']}").status_code == 200
    assert eventually(lambda: requests.get(f"{server.url}/listeners", headers=own, timeout=10).status_code == 401)
    assert server.delete("/shares/local").status_code == 404
    for wrong in ("2025-01-01", "2025-13-01"):
        assert server.post("/shares", json={"listener": "Mum", "until": wrong}).status_code == 400


def no_engine() -> Any:
    """What nothing here asks for."""
    raise AssertionError("no engine and no worker is needed to log in")


# --- on AWS, with the rights of the API's function and no others --------------------------------------------------


@pytest.mark.thorough
def test_on_aws_the_apis_own_rights_suffice_for_invitations_names_and_shares(spotify: Sandbox) -> None:
    aws, names = shared(), Names("join", ACCOUNT, REGION)
    before = len(aws.denied)
    make_bucket(aws, names.bucket)
    for which in ("api", "spotify"):
        aws.client("secretsmanager").create_secret(Name=f"{names.secret}/{which}", SecretString="{}")
    settings = Settings(
        lake_url=names.lake_url,
        secrets_url=f"secretsmanager:{names.secret}",
        spotipy_client_id=spotify.client_id,
        spotipy_client_secret=spotify.client_secret,
        spotify_api_url=spotify.api_url.rstrip("/"),
        spotify_accounts_url=spotify.accounts_url,
    )
    for handler in (API_HANDLER, "transform"):
        make_role(aws, names.role(handler), policy(BY_HANDLER[handler], names))

    def client(handler: str, service: str) -> Any:
        return aws.client(service, aws.credentials(names.role(handler)))

    lake = Lake(BucketStore(names.bucket, s3=lambda: client(API_HANDLER, "s3")))
    transforms = Lake(BucketStore(names.bucket, s3=lambda: client("transform", "s3")))
    secrets = ManagedSecrets(names.secret, manager=lambda: client(API_HANDLER, "secretsmanager"))
    access = Access(settings, secrets)
    api = Api(settings, lake, engine=no_engine, worker=no_engine, access=lambda: access)

    def ask(method: str, route: str, body: dict[str, Any] | None = None, **more: Any) -> Reply:
        request = Request(
            method, route, body=json.dumps(body).encode() if body else b"", scope=more.pop("scope", "run"),
            gateway="https://a1.execute-api.eu-west-1.amazonaws.com/api", **more,
        )  # fmt: skip
        return api.handle(request)

    made = json.loads(ask("POST", "/invitations", {"name": "Ann"}).content)
    code = made["url"].partition("invitation=")[2]
    joined = ask("GET", "/join", query={"invitation": [code]}, scope=None)
    assert joined.status == 302 and "; Secure" in joined.headers["Set-Cookie"]
    told = {name: [value] for name, value in consent(joined.headers["Location"]).items()}
    cookie = joined.headers["Set-Cookie"].partition(";")[0]
    back = ask("GET", "/callback", query=told, headers={"cookie": cookie}, scope=None)
    assert back.status == 200 and "Ann is logged in until" in back.content
    (ann,) = json.loads(ask("GET", "/listeners").content)["listeners"]
    assert (ann["name"], ann["user_id"]) == ("Ann", spotify.world.default_listener.account_id)
    share = json.loads(ask("POST", "/shares", {"listener": "Ann"}).content)
    assert share["url"].startswith("https://a1.execute-api.eu-west-1.amazonaws.com/api/#share=lake_")
    assert ask("DELETE", "/shares/{token_id}", path={"token_id": share["token_id"]}).status == 200
    keys = [info.key for info in lake.store.list("raw/spotify/listeners/")]
    assert [transform_object(transforms, key).state for key in keys] == ["done"] * 2
    assert aws.denied[before:] == []


@pytest.mark.thorough
def test_what_is_left_out_over_the_api_is_in_no_number_until_it_is_taken_back(server: LakeServer) -> None:
    listens = [extended_row(f"2025-03-0{day}T10:04:00Z", 40_000) for day in (1, 2)]
    bring(server, listens, new_listener="Ann")
    counted = "SELECT count(*) FROM heard"
    assert eventually(lambda: server.rows(counted) == [[2]])
    period = {"kind": "period", "from_at": "2025-03-01T00:00:00+01:00", "to_at": "2025-03-02T00:00:00Z"}
    made = server.post("/exclusions", json={**period, "listener": "ann"})
    assert made.status_code == 201 and made.json()["in_force"] and made.json()["user_id"] == "Ann"
    assert server.rows(counted) == [[1]]
    again = server.post("/exclusions", json={**period, "listener": "Ann"})
    assert (again.status_code, again.json()) == (200, made.json())
    assert server.get("/exclusions").json() == {"exclusions": [made.json()]}
    assert server.post("/exclusions", json={**period, "listener": "Nobody"}).status_code == 404
    for wrong in ({"kind": "artist"}, {"kind": "mood"}, {"kind": "artist", "artist_name": "x", "item_name": "y"}):
        assert server.post("/exclusions", json=wrong).status_code == 400, wrong
    address = f"/exclusions/{made.json()['exclusion_id']}"
    taken = server.delete(address)
    assert taken.status_code == 200 and taken.json()["in_force"] and not taken.json()["is_active"]
    assert server.rows(counted) == [[2]]
    assert server.delete(address).status_code == 404
    assert server.get("/exclusions").json() == {"exclusions": []}
