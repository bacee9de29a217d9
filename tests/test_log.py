"""Log lines: their shape, and what never stands in them."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable

import pytest

from chalicelib.log import redact, run_id_in_force, set_up

SECRET = "BQD3xY-very_secret.value"


def lines(write: Callable[[logging.Logger], None], *, as_json: bool, secrets: tuple[str, ...] = ()) -> str:
    stream = io.StringIO()
    logger = logging.Logger("a.module")
    set_up("DEBUG", stream=stream, as_json=as_json, secrets=secrets, logger=logger)
    write(logger)
    return stream.getvalue()


def test_on_lambda_a_line_is_json_with_the_runs_id() -> None:
    token = run_id_in_force.set("20261120T120000Z-aaaaaa")
    try:
        text = lines(lambda logger: logger.info("read %d items", 5, extra={"fields": {"source": "x"}}), as_json=True)
    finally:
        run_id_in_force.reset(token)
    line = json.loads(text)
    assert line["message"] == "read 5 items"
    assert line["run_id"] == "20261120T120000Z-aaaaaa"
    assert line["source"] == "x"
    assert line["level"] == "INFO"


def test_elsewhere_a_line_is_for_people() -> None:
    assert lines(lambda logger: logger.warning("careful"), as_json=False).endswith("WARNING a.module: careful\n")


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {SECRET}",
        f"headers={{'Authorization': 'Bearer {SECRET}'}}",
        f"Basic {SECRET}==",
        f'{{"access_token": "{SECRET}", "scope": "x"}}',
        f"refresh_token={SECRET}&grant_type=refresh_token",
        f"client_secret: {SECRET}",
        f"/callback?code={SECRET}&state=x",
        f"/?token={SECRET}",
        f"API_TOKEN={SECRET}",
    ],
)
@pytest.mark.parametrize("as_json", [True, False])
def test_what_looks_like_a_secret_is_masked_wherever_it_stands(text: str, as_json: bool) -> None:
    def fail(logger: logging.Logger) -> None:
        try:
            raise RuntimeError(text)
        except RuntimeError:
            logger.exception("failed with %s", text)

    assert SECRET not in lines(fail, as_json=as_json)
    assert "***" in lines(lambda logger: logger.info(text), as_json=as_json)


def test_a_known_secret_is_masked_whatever_it_looks_like() -> None:
    assert "hunter2!" not in lines(lambda logger: logger.info("got hunter2!"), as_json=True, secrets=("hunter2!",))


@pytest.mark.parametrize("text", ["the token service answered 500", "status code 404", "basic facts", "5 tokens"])
def test_ordinary_words_are_left_alone(text: str) -> None:
    assert redact(text) == text
