"""The dashboard's files as they lie in the repository: nothing inline, nothing from elsewhere, vendored as recorded."""

from __future__ import annotations

import gzip
import hashlib
import json
import re

import pytest

from tests.support import PROJECT

WEB = PROJECT / "chalicelib" / "web"
OURS = sorted(path for path in WEB.iterdir() if path.suffix in (".js", ".css", ".html", ".svg"))
#: Addresses that are links to follow, names of XML vocabularies, or covers that the lake's owner has to allow.
KNOWN_ADDRESSES = {"http://www.w3.org/2000/svg", "https://open.spotify.com/track/", "https://i.scdn.co/"}
MOST_WEIGHT = 600_000  # bytes gzipped


def test_the_page_holds_no_inline_script_style_or_handler():
    page = (WEB / "index.html").read_text("utf-8")
    assert not re.search(r"<script(?![^>]*\bsrc=)", page)
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", page)


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_no_file_names_another_host(path):
    found = set(re.findall(r"https?://[\w./-]+", path.read_text("utf-8")))
    assert found <= KNOWN_ADDRESSES


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_no_file_makes_code_or_markup_from_text(path):
    assert not re.search(
        r"\beval\(|new Function|\.innerHTML|insertAdjacentHTML|document\.write", path.read_text("utf-8")
    )


@pytest.mark.parametrize("path", [path for path in OURS if path.suffix == ".js"], ids=lambda path: path.name)
def test_every_import_is_a_file_of_the_dashboard(path):
    for name in re.findall(r"""(?:from|import\()\s*"(\./[^"]+)\"""", path.read_text("utf-8")):
        assert (WEB / name).is_file(), name


def test_vendored_bundles_are_the_recorded_ones():
    recorded = json.loads((WEB / "vendor" / "versions.json").read_text("utf-8"))
    licences = (WEB / "vendor" / "LICENSES.txt").read_text("utf-8")
    for name, digest in recorded["sha256"].items():
        assert hashlib.sha256((WEB / "vendor" / name).read_bytes()).hexdigest() == digest
    for package, version in recorded["packages"].items():
        assert f"{package} {version.split()[0]} (MIT)" in licences


def test_recorded_versions_are_those_of_the_build_recipe():
    recorded = json.loads((WEB / "vendor" / "versions.json").read_text("utf-8"))["packages"]
    recipe = json.loads((WEB.parent.parent / "web-vendor" / "package.json").read_text("utf-8"))["devDependencies"]
    for package, version in recipe.items():
        if package != "esbuild":
            assert recorded[package].split()[0] == version


def test_everything_together_weighs_little():
    files = [*OURS, *(WEB / "vendor").glob("*.js")]
    assert sum(len(gzip.compress(path.read_bytes())) for path in files) < MOST_WEIGHT


def test_the_policy_lets_in_the_lakes_bucket_and_covers_only_where_they_are_the_owners_wish():
    from chalicelib.rest.assets import page_policy

    at_home = page_policy(show_images=False)
    assert "connect-src 'self';" in at_home
    assert "http" not in at_home
    assert "img-src 'self' data: https://i.scdn.co;" in page_policy(show_images=True)
    on_aws = page_policy(show_images=False, bucket="my-lake", region="eu-central-1")
    assert (
        "connect-src 'self' https://my-lake.s3.amazonaws.com https://my-lake.s3.eu-central-1.amazonaws.com;" in on_aws
    )
    assert "unsafe" not in at_home + on_aws
