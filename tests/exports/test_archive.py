"""The zip in which the history files of an export are kept."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import pytest

from chalicelib.exports.archive import HistoryZip

FILES = {
    "MyData/endsong_0.json": b'[{"ts":"2023-01-01T00:00:00Z"}]' * 5000,
    "MyData/endsong_1.json": b"",
    "Höreindrücke/Streaming_History_Audio_2023_0.json": os.urandom(100_000),
}


def made(path: Path) -> Path:
    with HistoryZip(path) as packed:
        for name, data in FILES.items():
            with packed.member(name) as member:
                for start in range(0, len(data), 30_000):
                    member.write(data[start : start + 30_000])
    return path


def contents(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def test_any_unzip_reads_back_what_was_written(tmp_path: Path) -> None:
    path = made(tmp_path / "kept.zip")
    assert contents(path) == FILES
    assert path.stat().st_size < sum(map(len, FILES.values())) * 0.6


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    assert made(tmp_path / "one.zip").read_bytes() == made(tmp_path / "two.zip").read_bytes()


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_members_are_taken_over_as_they_are_packed(tmp_path: Path, method: int) -> None:
    source = io.BytesIO()
    with zipfile.ZipFile(source, "w", method) as archive:
        archive.writestr("letter.pdf", b"not history")
        for name, data in FILES.items():
            archive.writestr(name, data)
    with zipfile.ZipFile(source) as archive, HistoryZip(tmp_path / "kept.zip") as packed:
        for info in archive.infolist()[1:]:
            packed.take_over(source, info)
    assert contents(tmp_path / "kept.zip") == FILES
    with zipfile.ZipFile(tmp_path / "kept.zip") as archive:
        assert {info.compress_type for info in archive.infolist()} == {method}


def test_a_member_that_is_cut_short_is_not_taken_over(tmp_path: Path) -> None:
    path = made(tmp_path / "whole.zip")
    with zipfile.ZipFile(path) as archive:
        info = archive.infolist()[2]
    cut = io.BytesIO(path.read_bytes()[: info.header_offset + 500])
    with pytest.raises(zipfile.BadZipFile, match="cut short"), HistoryZip(tmp_path / "kept.zip") as packed:
        packed.take_over(cut, info)
    assert not zipfile.is_zipfile(tmp_path / "kept.zip")
