# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._certificate import place
from ansible_collections.slipway.deploy.plugins.module_utils._certificate.place import Reader, differs, write
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError


class Engine:
    """An engine with one image and perhaps a container of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, image: str | None, container: str | None, says: str) -> None:
        self.image, self.container, self.says = image, container, says
        self.asked: list[tuple[str, ...]] = []
        monkeypatch.setattr(place.docker, "found", lambda kind, *_: image if kind == "image" else container)
        monkeypatch.setattr(place.docker, "run", self.run)

    def run(self, *arguments: str, timeout: float = 0) -> tuple[int, str]:
        self.asked.append(arguments)
        return int(not self.says), self.says or "no such user"


RUN = ("run", "--rm", "--network", "none", "--entrypoint", "id", "nginx:1", "-u", "nginx")
EXEC = ("exec", "web", "id", "-u")


@pytest.mark.parametrize(
    ("image", "container", "asked"),
    [
        (None, None, RUN),
        ("sha256:1", None, RUN),
        ("sha256:1", "exited sha256:1 nginx", RUN),
        ("sha256:1", "running sha256:0 nginx", RUN),
        ("sha256:1", "running sha256:1 other", RUN),
        ("sha256:1", "running sha256:1 nginx", EXEC),
    ],
)
def test_who_tells_the_users_number(
    monkeypatch: pytest.MonkeyPatch, image: str | None, container: str | None, asked: tuple[str, ...]
) -> None:
    engine = Engine(monkeypatch, image, container, "Unable to find image locally\n101\n")
    assert Reader("web", "nginx:1", "nginx").uid() == 101
    assert engine.asked == [asked]
    assert Reader("web", "nginx:1", "33:33").uid() == 33


def test_a_user_that_there_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    Engine(monkeypatch, "sha256:1", None, "")
    with pytest.raises(SlipwayError, match=r"^Image nginx:1 does not say who its user nginx is \(no such user\): "):
        Reader("web", "nginx:1", "nginx").uid()


def test_the_file_is_the_readers_alone(tmp_path: Path) -> None:
    file, uid = tmp_path / "config" / "certificate.pem", os.geteuid()
    assert differs(file, "key", uid)
    before = os.umask(0o077)
    try:
        write(file, "key", uid)
    finally:
        os.umask(before)
    assert (file.read_text(), file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == ("key", 0o600, 0o755)
    assert not differs(file, "key", uid)
    assert differs(file, "another", uid)
    assert differs(file, "key", uid + 1)
    file.chmod(0o640)
    assert differs(file, "key", uid)


def test_who_may_not_give_it_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "fchown", refuse)
    file = tmp_path / "certificate.pem"
    with pytest.raises(SlipwayError, match=r"to uid 101, as whom nginx runs \(Operation not permitted\): become root"):
        write(file, "key", 101)
    assert list(tmp_path.iterdir()) == []
