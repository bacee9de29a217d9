"""Settings: what is taken, what is refused in words a person can act on."""

from __future__ import annotations

from pathlib import Path

import pytest

from chalicelib.checks import size, spell_size
from chalicelib.errors import InvalidSetting
from chalicelib.settings import Settings


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("CALLS_PER_RUN", "many", "must be a whole number from 1 to 1000000"),
        ("CALLS_PER_RUN", "0", "must be a whole number from 1 to 1000000"),
        ("QUERY_SECONDS", "1e", "must be a number from 0.1 to 1800"),
        ("QUERY_SECONDS", "nan", "must be a number from 0.1 to 1800"),
        ("REFRESH_AFTER", "soon", "must be a duration such as 15m, 1h or 30d"),
        ("REFRESH_AFTER", "999999999d", "must be a duration such as 15m, 1h or 30d"),
        ("QUERY_MEMORY", "lots", "must be a size such as 512MB or 1GB"),
        ("SECRETS_URL", "secretmanager:lake", "must be a folder, secretsmanager:NAME or ssm:/NAME"),
        ("SECRETS_URL", "s3://bucket", "must be a folder, secretsmanager:NAME or ssm:/NAME"),
        ("LAKE_URL", "gs://bucket", r"must be a folder or s3://bucket\[/prefix\]"),
        ("CORS_ORIGIN", "notebook.example", "must be an origin such as https://notebook.example"),
        ("CORS_ORIGIN", "https://notebook.example/a", "must be an origin such as https://notebook.example"),
        ("KEEP_EXPORTS", "perhaps", "must be true or false"),
    ],
)
def test_a_faulty_value_is_named_with_what_it_must_be(name: str, text: str, words: str) -> None:
    with pytest.raises(InvalidSetting, match=f"^{name}='{text}' {words}"):
        Settings.load({name: text}, None)


def test_every_fault_is_named_at_once() -> None:
    with pytest.raises(InvalidSetting, match=r"CALLS_PER_RUN.*; .*LOG_LEVEL") as raised:
        Settings.load({"CALLS_PER_RUN": "x", "LOG_LEVEL": "loud"}, None)
    assert len(raised.value.details["faults"]) == 2


def test_blanks_around_a_value_do_not_count() -> None:
    settings = Settings.load({"LAKE_URL": " ", "SPOTIPY_CLIENT_SECRET": "secret\n", "CALLS_PER_RUN": " 7 "}, None)
    assert (settings.lake_url, settings.spotipy_client_secret, settings.calls_per_run) == ("./lake", "secret", 7)


def test_a_tilde_is_the_home_folder_as_in_a_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    settings = Settings.load({"LAKE_URL": "~/lake/", "SECRETS_URL": "~/secrets", "SOURCES_FILE": "~/s.toml"}, None)
    assert settings.lake_url == "/home/ada/lake"
    assert settings.secrets_url == "/home/ada/secrets"
    assert settings.sources_file == "/home/ada/s.toml"


def test_an_origin_is_taken_as_browsers_send_it() -> None:
    assert Settings.load({"CORS_ORIGIN": "https://notebook.example/"}, None).cors_origin == "https://notebook.example"
    assert Settings.load({"CORS_ORIGIN": "*"}, None).cors_origin == "*"


def test_the_environment_stands_above_the_file(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_bytes(b'\xef\xbb\xbfCALLS_PER_RUN=7\r\nexport CONCURRENCY = "2" # two\r\n')
    settings = Settings.load({"CALLS_PER_RUN": "8"}, file)
    assert (settings.calls_per_run, settings.concurrency) == (8, 2)


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("CALLS_PER_RUN=7\n", encoding="utf-16")
    with pytest.raises(InvalidSetting, match=r"\.env is not text in UTF-8"):
        Settings.load({}, file)


@pytest.mark.parametrize(
    ("words", "expected"), [("1GB", 10**9), ("512 MiB", 512 * 2**20), ("1.5gb", 1_500_000_000), ("77", 77)]
)
def test_sizes_are_read(words: str, expected: int) -> None:
    assert size(words) == expected
    assert size(spell_size(expected)) == expected
