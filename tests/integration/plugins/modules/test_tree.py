# SPDX-License-Identifier: GPL-3.0-or-later
"""The module ``tree`` with its action plugin, and the lookup ``tree_digest``."""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
from support.release import Module, ansible

pytestmark = pytest.mark.once


@pytest.fixture
def tree(tmp_path: Path) -> Module:
    source = tmp_path / "page"
    (source / "js").mkdir(parents=True)
    (source / "index.html").write_text("one")
    (source / "js" / "run.js").write_text("run")
    (source / "js" / "run.js").chmod(0o700)
    (source / "latest").symlink_to("index.html")
    return Module("tree", tmp_path)


def call(tree: Module, *flags: str, **more: object) -> dict[str, Any]:
    return tree(*flags, src=str(tree.home / "page"), dest=str(tree.home / "host" / "static"), **more)


def looked_up(home: Path) -> str:
    done = ansible(
        home, "ansible", "localhost", "-c", "local", "-m", "ansible.builtin.debug",
        "-a", f"msg=\"{{{{ lookup('slipway.deploy.tree_digest', '{home}/page') }}}}\"",
        "-e", json.dumps({"ansible_python_interpreter": sys.executable}),
    )  # fmt: skip
    found: str = json.loads("{" + done.stdout.partition("=> {")[2])["msg"]
    return found


def test_check_apply_check_apply(tree: Module) -> None:
    assert call(tree, "--check")["changed"]
    assert not (tree.home / "host").exists()
    result = call(tree)
    assert result["changed"]
    path = Path(result["tree"]["path"])
    assert path.name == looked_up(tree.home)
    assert {str(file.relative_to(path)) for file in path.rglob("*")} == {"index.html", "js", "js/run.js", "latest"}
    assert stat.S_IMODE((path / "index.html").stat().st_mode) == 0o644
    assert stat.S_IMODE((path / "js" / "run.js").stat().st_mode) == 0o755
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o755
    assert (path / "latest").read_text() == "one"
    assert (path / "index.html").stat().st_mtime > 1_000_000_000
    assert not call(tree, "--check")["changed"]
    assert not call(tree)["changed"]


def test_old_ones_go_and_what_was_used_last_stays(tree: Module) -> None:
    names = []
    for number, content in enumerate(("a", "b", "c")):
        (tree.home / "page" / "index.html").write_text(content)
        path = Path(call(tree, keep=2)["tree"]["path"])
        os.utime(path, (number, number))
        names.append(path.name)
    (tree.home / "page" / "index.html").write_text("a")  # a rollback: the oldest is used again
    assert not call(tree, keep=2)["changed"]
    (tree.home / "page" / "index.html").write_text("d")
    result = call(tree, keep=2)
    static = tree.home / "host" / "static"
    assert result["actions"][1:] == [f"Removed {static / names[1]}."]
    assert names[0] in {path.name for path in static.iterdir()}


def test_what_a_configuration_names_stays_however_many_come_after_it(tree: Module) -> None:
    """Deploys that fail after the files were sent, one after the other."""
    config, former, static = tree.home / "nginx.conf", tree.home / "former", tree.home / "host" / "static"
    former.mkdir()
    names = []
    for number, content in enumerate(("kept", "serves", "a", "b", "c")):
        (tree.home / "page" / "index.html").write_text(content)
        path = Path(call(tree, keep=1, used_by=[str(config), str(former)])["tree"]["path"])
        os.utime(path, (number, number))
        names.append(path.name)
        if content == "kept":
            (former / "one.conf").write_text(f"root /srv/static/{path.name};\n")
        if content == "serves":
            config.write_text(f"root /srv/static/{path.name};\n")
    assert {path.name for path in static.iterdir()} == {*names[:2], *names[-2:]}
