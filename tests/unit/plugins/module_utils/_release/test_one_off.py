# SPDX-License-Identifier: GPL-3.0-or-later
"""A one-off command is like the release, keeps its secrets out of sight, and is the very process that was asked for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._release.one_off import Container, OneOff

INSPECTED = {
    "Name": "/shop-test-backend-3f1d",
    "Image": "sha256:0a1b",
    "Config": {
        "Env": ["URL=postgresql://a:s3cret@db/shop", "KEY=-----BEGIN\nabc\n-----END", "EMPTY="],
        "Labels": {"slipway.backend": "shop-test-backend", "slipway.release": "3f1d"},
    },
    "HostConfig": {
        "NetworkMode": "shop-test", "Memory": 536870912, "NanoCpus": 1500000000, "PidsLimit": 512, "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges"], "ReadonlyRootfs": True, "Tmpfs": {"/tmp": "", "/run": "size=1m"},
        "Binds": ["/srv/files:/files:ro"],
    },
}  # fmt: skip


def test_a_container_like_the_releases() -> None:
    container = Container.parse(json.dumps(INSPECTED))
    assert (container.name, container.release) == ("shop-test-backend-3f1d", "3f1d")
    one_off = container.one_off(["ls", "-l"], "shop-test", "77")
    assert one_off.argv == [
        "docker", "run", "--rm", "--init", "--interactive", "--no-healthcheck", "--log-driver=none",
        "--name=shop-test-run-77", "--label=slipway.run=shop-test", "--network=shop-test", "--memory=536870912",
        "--cpus=1.5", "--pids-limit=512", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--read-only",
        "--tmpfs=/tmp", "--tmpfs=/run:size=1m", "--volume=/srv/files:/files:ro",
    ]  # fmt: skip
    assert one_off.more == ["--env=KEY", "sha256:0a1b", "ls", "-l"]
    assert one_off.variables == "EMPTY=\nURL=postgresql://a:s3cret@db/shop\n"
    assert one_off.environment == {"KEY": "-----BEGIN\nabc\n-----END"}
    assert "s3cret" not in " ".join([*one_off.argv, *one_off.more])


def test_a_container_without_limits() -> None:
    bare = {
        "Name": "/a",
        "Image": "i",
        "Config": {"Env": None, "Labels": None},
        "HostConfig": {"NetworkMode": "bridge"},
    }
    container = Container.parse(json.dumps(bare))
    assert (container.options, container.environment, container.release) == (["--network=bridge"], {}, "")


def run(one_off: OneOff, home: Path, given: str = "") -> subprocess.CompletedProcess[str]:
    file = home / "it.py"
    file.write_text(one_off.program())
    done = subprocess.run(
        [sys.executable, str(file)],
        input=given,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin"},
    )
    assert not file.exists()
    return done


def test_the_program_is_the_command(tmp_path: Path) -> None:
    text = """echo "$A" "$0"; pwd; cat; exit 7"""
    done = run(
        OneOff(["sh", "-c", text, "it's %s {}"], {"A": "a\nb ' \" é", "PATH": "/bin"}, str(tmp_path)), tmp_path, "in"
    )
    assert done.stdout == f"a\nb ' \" é it's %s {{}}\n{tmp_path}\nin"
    assert done.returncode == 7


def test_the_variables_of_a_container_are_a_file_in_memory(tmp_path: Path) -> None:
    text = """for word; do case $word in --env-file=*) cat "${word#*=}";; *) echo "$word";; esac; done; echo "$KEY" """
    one_off = OneOff(["sh", "-c", text, "sh"], {"KEY": "two\nlines"}, variables="A=1\nB=é\n", more=["image"])
    done = run(one_off, tmp_path)
    assert done.stdout == "A=1\nB=é\nimage\ntwo\nlines\n"


def test_a_command_that_is_gone(tmp_path: Path) -> None:
    done = run(OneOff(["nothing-like-it"], {"PATH": "/bin"}), tmp_path)
    assert (done.returncode, done.stderr) == (1, "nothing-like-it can't be run: No such file or directory.\n")


@pytest.mark.parametrize("status", [0, 1, 127, 200])
def test_the_status_is_the_commands(tmp_path: Path, status: int) -> None:
    assert run(OneOff(["sh", "-c", f"exit {status}"], {"PATH": "/bin"}), tmp_path).returncode == status
