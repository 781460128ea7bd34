# SPDX-License-Identifier: GPL-3.0-or-later
"""When a line of a log was written, and the last lines of a file."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._host.logs import (
    Streams,
    is_about_another,
    last_lines,
    moment,
    of_files,
    timed,
)


@pytest.mark.parametrize(
    ("line", "time"),
    [
        ("2026-11-26 15:10:01.931 GMT [7713] LOG:  checkpoint", 1795705801.931),
        ("2026-11-26T15:10:01.931000123Z stdout", 1795705801.931000123),
        ("2026-11-26T15:10:01Z", 1795705801),
        ("2026-11-26 16:10:01,5+01:00 x", 1795705801.5),
        ("[2026-11-26 15:10:01 UTC] x", 1795705801),
        ("2026-11-26T10:10:01-0500", 1795705801),
        ('127.0.0.1 - - [26/Nov/2026:16:10:01 +0100] "GET / HTTP/1.1" 200', 1795705801),
        ('127.0.0.1 - - [31/Feb/2026:16:10:01 +0100] "GET / HTTP/1.1" 200', None),
        ("INFO:     Started", None),
        ("2026-13-26 15:10:01 UTC", None),
        ("", None),
    ],
)
def test_the_time_of_a_line(line: str, time: float | None) -> None:
    found = moment(line)
    assert found == (time and pytest.approx(time, abs=1e-4))


def test_a_time_without_a_zone_is_local(monkeypatch: pytest.MonkeyPatch) -> None:
    found = moment("2026-11-26 15:10:01")
    assert found is not None
    assert abs(found - 1795705801) <= 14 * 3600
    assert moment('127.0.0.1 - - [26/Nov/2026 15:10:01] "GET / HTTP/1.1" 200 -') == found


def test_the_last_lines_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_text("".join(f"{number} {'é' * 400}\n" for number in range(1000)) + "not yet")
    assert [line.split()[0] for line in last_lines(str(file), 300)] == [str(number) for number in range(700, 1000)]
    assert len(last_lines(str(file), 5000)) == 1000
    assert last_lines(str(file), 0) == []
    file.write_text("")
    assert last_lines(str(file), 10) == []


def test_a_line_without_a_time_belongs_to_the_one_before() -> None:
    first, second = "2026-11-26 15:10:01 UTC a", "2026-11-26 15:10:02 UTC b"
    assert [at for _text, at in timed(["before", first, "more", second], 7)] == [1795705801] * 3 + [1795705802]
    assert timed(["a", "b"], 7) == [("a", 7), ("b", 7)]


@pytest.mark.parametrize(
    ("text", "site", "another"),
    [
        ('{"time": "2026-11-27T10:00:00+00:00", "site": "shop.example.com", "path": "/"}', "shop.example.com", False),
        ('{"time": "2026-11-27T10:00:00+00:00", "site": "blog.example.com", "path": "/"}', "shop.example.com", True),
        ('{"time": "2026-11-27T10:00:00+00:00", "site": "_", "path": "/"}', "shop.example.com", True),
        ('{"time": "2026-11-27T10:00:00+00:00", "site": "blog.example.com", "path": "/"}', "", False),
        ("2026/11/27 10:00:00 [notice] 1#1: signal process started", "shop.example.com", False),
        ('asked for {"site": "blog.example.com"}', "shop.example.com", False),
    ],
)
def test_what_a_log_says_of_other_sites(text: str, site: str, another: bool) -> None:
    assert is_about_another(text, site) is another


def test_files_of_a_pattern_are_named_by_themselves(tmp_path: Path) -> None:
    for name in (
        "mail-out-9b0d44c1f2aa-1.log",
        "mail-out-9b0d44c1f2aa-2.log",
        "clock-000000000000-1.log",
        "state.json",
    ):
        (tmp_path / name).touch()
    streams = Streams({"follow": False, "lines": 9, "since": 0, "sources": []})
    found = list(streams._parts({"name": "worker", "files": f"{tmp_path}/*.log"}))
    assert [arguments[0] for _key, _work, arguments in found] == ["clock", "mail-out", "mail-out"]


def test_a_secret_that_a_container_has_as_a_file_is_told_like_one_of_its_environment(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("postgresql://shop:hunter2@db/shop\n")
    mounts = [
        {"Source": str(tmp_path / "url"), "Destination": "/run/secrets/url"},
        {"Source": str(tmp_path / "none"), "Destination": "/run/secrets/none"},
    ]
    entries = ["URL_FILE=/run/secrets/url", "KEY_FILE=/run/secrets/none", "ETC_FILE=/etc/passwd", "A=b"]
    assert list(of_files(entries, mounts)) == ["URL=postgresql://shop:hunter2@db/shop"]
    whole = [{"Source": str(tmp_path), "Destination": "/run/secrets"}]
    assert list(of_files([*entries, "KEY_FILE=/run/secrets/../x"], whole)) == ["URL=postgresql://shop:hunter2@db/shop"]
