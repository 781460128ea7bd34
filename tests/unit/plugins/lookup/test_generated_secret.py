# SPDX-License-Identifier: GPL-3.0-or-later
"""A secret is generated once, however many ask at a time, and nobody else reads it."""

from __future__ import annotations

import json
import multiprocessing
import stat
import subprocess
from pathlib import Path

import pytest
from ansible.errors import AnsibleError
from ansible_collections.slipway.deploy.plugins.lookup.generated_secret import ALPHABET, LookupModule


class Lookup(LookupModule):  # type: ignore[misc, unused-ignore]
    """The lookup with its options set by hand: it is not loaded by Ansible here."""

    def set_options(self, var_options: object = None, direct: dict[str, object] | None = None) -> None:
        self.options = {"length": 40, "generate": True, "default": None, **(direct or {})}

    def get_option(self, name: str) -> object:
        return self.options[name]


def secrets(file: Path, *names: str, check: bool = False, **options: object) -> list[str]:
    return Lookup().run(list(names), {"ansible_check_mode": check}, file=str(file), **options)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "test" / "secrets.json"


def test_four_runs(file: Path) -> None:
    assert secrets(file, "owner", check=True) == ["not-generated-in-check-mode"]
    assert not file.parent.exists()

    owner, app = secrets(file, "owner", "app")
    assert owner != app
    for secret in (owner, app):
        assert len(secret) == 40
        assert set(secret) <= set(ALPHABET)
    assert json.loads(file.read_text()) == {"owner": owner, "app": app}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert sorted(path.name for path in file.parent.iterdir()) == [".secrets.lock", "secrets.json"]

    before = file.stat()
    for check in (True, False):
        assert secrets(file, "app", "owner", check=check) == [app, owner]
    assert secrets(file, "app", "new", check=True) == [app, "not-generated-in-check-mode"]
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)

    assert len(secrets(file, "new", length=64)[0]) == 64
    assert secrets(file, "owner", "app") == [owner, app]


def test_one_that_is_not_there_may_have_a_default(file: Path) -> None:
    assert secrets(file, "login", default="shop_app") == ["shop_app"]
    assert not file.parent.exists()
    [login] = secrets(file, "login")
    assert secrets(file, "login", default="shop_app") == [login]


def test_nothing_is_generated_unless_it_may_be(file: Path) -> None:
    assert secrets(file, "owner", generate=False) == ["not-generated-in-check-mode"]
    assert not file.parent.exists()
    owner = secrets(file, "owner")
    assert secrets(file, "owner", "app", generate=False) == [*owner, "not-generated-in-check-mode"]


def test_git_takes_no_notice_of_what_is_below_slipway(tmp_path: Path) -> None:
    secrets(tmp_path / ".slipway/test/secrets.json", "owner", check=True)
    assert list(tmp_path.iterdir()) == []
    secrets(tmp_path / ".slipway/test/secrets.json", "owner")
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    status = ["git", "-C", str(tmp_path), "status", "--porcelain", "--untracked-files=all"]
    assert subprocess.run(status, capture_output=True, check=True).stdout == b""
    (tmp_path / ".slipway/.gitignore").write_text("of the user\n")
    secrets(tmp_path / ".slipway/test/secrets.json", "app")
    assert (tmp_path / ".slipway/.gitignore").read_text() == "of the user\n"


def ask(file: Path) -> list[str]:
    return secrets(file, "owner", "app")


def test_many_at_a_time_get_one_value(tmp_path: Path) -> None:
    files = [tmp_path / str(number) / "secrets.json" for number in range(10)]
    with multiprocessing.get_context("fork").Pool(4) as pool:
        answers = pool.map(ask, [file for file in files for _ in range(4)], chunksize=1)
    for number, file in enumerate(files):
        kept = json.loads(file.read_text())
        assert answers[4 * number : 4 * number + 4] == [[kept["owner"], kept["app"]]] * 4


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o620])
def test_others_may_read_the_file(file: Path, mode: int) -> None:
    secrets(file, "owner")
    file.chmod(mode)
    with pytest.raises(AnsibleError) as caught:
        secrets(file, "owner")
    assert str(caught.value) == f"{file} holds secrets but has mode {mode:04o}: run `chmod 600 {file}` and run again."


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("owner: x", "is not JSON (Expecting value: line 1 column 1 (char 0))"),
        ("", "is not JSON (Expecting value: line 1 column 1 (char 0))"),
        ('["a"]', "is not a JSON object"),
    ],
)
def test_not_a_file_of_secrets(file: Path, text: str, problem: str) -> None:
    file.parent.mkdir()
    file.touch(0o600)
    file.write_text(text)
    with pytest.raises(AnsibleError) as caught:
        secrets(file, "owner")
    assert str(caught.value) == f"{file} {problem}: restore it from a copy, or the passwords in it are lost."
    assert file.read_text() == text


def test_file_that_cannot_be_read(file: Path) -> None:
    file.mkdir(parents=True)
    with pytest.raises(AnsibleError) as caught:
        secrets(file, "owner")
    assert str(caught.value) == f"{file} can't be read: Is a directory: '{file}'; run as the user who owns it."
