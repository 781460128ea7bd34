# SPDX-License-Identifier: GPL-3.0-or-later
"""The logs of several hosts in the order of their times, without secrets and without what steers a terminal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from ansible_collections.slipway.deploy.plugins.plugin_utils._reach import interleave
from ansible_collections.slipway.deploy.plugins.plugin_utils._reach.interleave import RECEIVE, shown

ONE = "2026-11-26 15:10:0{}.000 UTC one {}\n"


def spec(home: Path, **more: object) -> str:
    """Two hosts, which are this machine, each with a log; one has a process whose environment holds a secret."""
    argv = [sys.executable, "-Ic", RECEIVE]
    told: dict[str, Any] = {
        "hosts": [
            {"host": "web", "argv": argv, "sources": [
                {"name": "backend", "file": f"{home}/backend.log", "state": f"{home}/state.json"}]},
            {"host": "db", "argv": argv, "sources": [{"name": "database", "file": f"{home}/database.log"}]},
        ],
        "follow": False, "lines": 100, "since": 0, "output": "table", "secrets_file": f"{home}/secrets.json",
    }  # fmt: skip
    return json.dumps({**told, **more})


def run(home: Path, **more: object) -> str:
    done = subprocess.run(
        [sys.executable, interleave.__file__, spec(home, **more)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_lines_are_in_order_and_hold_no_secret(tmp_path: Path) -> None:
    (tmp_path / "secrets.json").write_text('{"owner": "generated-secret"}')
    with subprocess.Popen(["sleep", "60"], env={"PASSWORD": "hunter2-secret", "PATH": os.environ["PATH"]}) as serving:
        (tmp_path / "state.json").write_text(json.dumps({"app": {"pid": serving.pid}}))
        (tmp_path / "backend.log").write_text(
            ONE.format(1, "a hunter2-secret") + "  its second line\n" + ONE.format(3, "c")
        )
        (tmp_path / "database.log").write_text(ONE.format(2, "b generated-secret \x1b[31mred\x1b[0m \x07") + "cut sho")
        texts = [line.split("  ", 1)[1] for line in run(tmp_path).splitlines()]
        serving.kill()
    assert [text.replace("2026-11-26 15:10:0", "").strip() for text in texts] == [
        "1.000 UTC one a ********", "its second line", "2.000 UTC one b ******** red \N{REPLACEMENT CHARACTER}",
        "3.000 UTC one c",
    ]  # fmt: skip
    found = json.loads(run(tmp_path, output="json", lines=2))
    assert [(line["time"], line["host"], line["source"]) for line in found] == [
        ("2026-11-26T15:10:02.000+00:00", "db", "database"), ("2026-11-26T15:10:03.000+00:00", "web", "backend")
    ]  # fmt: skip
    assert "one c" in run(tmp_path, since=1795705803)
    assert "one b" not in run(tmp_path, since=1795705803)


def test_a_log_that_is_not_there_yet(tmp_path: Path) -> None:
    assert run(tmp_path) == ""


def test_a_line_on_a_terminal() -> None:
    line = {"time": 0.5, "host": "web", "source": "nginx", "text": "GET /"}
    assert shown(line, 9, colour=False, hosts=False).endswith(".500 nginx      GET /")
    assert shown(line, 9, colour=True, hosts=True).endswith(" web nginx\x1b[0m  GET /")
    assert shown(line, 9, colour=True, hosts=True).startswith("\x1b[32m")


def test_what_is_written_later_is_followed_until_the_interrupt(tmp_path: Path) -> None:
    log = tmp_path / "backend.log"
    log.write_text(ONE.format(1, "before"))
    reader = subprocess.Popen(
        [sys.executable, interleave.__file__, spec(tmp_path, follow=True)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert reader.stdout
    assert reader.stdout.readline().strip().endswith("one before")
    with log.open("a") as writing:
        writing.write("later\n")
    assert reader.stdout.readline().strip().endswith("later")
    os.replace(log, f"{log}.1")  # as a log that got too long
    log.write_text("anew\n")
    (tmp_path / "database.log").write_text("of the other\n")
    assert {reader.stdout.readline().split()[-1] for _ in range(2)} == {"anew", "other"}
    left = subprocess.run(["pgrep", "-P", str(reader.pid)], capture_output=True, text=True, check=True).stdout.split()
    assert len(left) == 2
    reader.send_signal(2)
    assert reader.wait(20) == 0
    assert reader.stdout.read() == ""
    ends = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in left):
        assert time.monotonic() < ends


def test_a_host_that_fails_is_heard(tmp_path: Path) -> None:
    hosts = [{"host": "web", "argv": ["sh", "-c", "echo no way >&2; exit 255"], "sources": []}]
    done = subprocess.run(
        [sys.executable, interleave.__file__, spec(tmp_path, hosts=hosts)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (255, "", "no way\n")
