# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._backup.offsite import Away, Offsite, tags
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from support.manifest import manifest

PARAMS: dict[str, Any] = {
    "offsite": "/nas", "offsite_password": "p", "offsite_env": {"A": 1}, "offsite_options": {}, "directory": "/b",
    "offsite_append_only": False,
}  # fmt: skip


@pytest.mark.parametrize("release", ["1.0", "", "1, a=b", "50 %", "größer", "a\nb"])
def test_what_tags_say_is_read_again(release: str) -> None:
    made = manifest(release=release)
    told = tags(made)
    assert [tag for tag in told if "," in tag] == []
    found = Away.parse({"id": "abc", "tags": told})
    assert found is not None
    assert found.snapshot == "abc"
    for name in ("name", "dump", "application", "environment", "database", "release", "started", "sha256", "size",
                 "database_size", "rows", "content", "server_major", "server_version", "proved"):  # fmt: skip
        assert getattr(found.manifest, name) == getattr(made, name)


@pytest.mark.parametrize("told", [None, [], ["slipway"], ["slipway", "backup=x", "size=many"]])
def test_what_is_no_backup_is_passed_over(told: list[str] | None) -> None:
    assert Away.parse({"id": "abc", "tags": told}) is None


def test_where_there_is_none() -> None:
    assert Offsite.from_params({**PARAMS, "offsite": ""}) is None


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"offsite_password": ""}, "The repository /nas has no password: set one, and keep it in another place too."),
        (
            {"offsite": "rest:https://me:secret@nas/x"},
            "The address of the repository holds a password, and addresses are shown: take it out, and set "
            "RESTIC_REST_USERNAME and RESTIC_REST_PASSWORD in its environment.",
        ),
    ],
)
def test_what_can_not_be_a_repository(given: dict[str, Any], told: str) -> None:
    with pytest.raises(SlipwayError) as raised:
        Offsite.from_params({**PARAMS, **given})
    assert str(raised.value) == told


def test_nothing_secret_is_in_the_argument_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESTIC_PASSWORD_FILE", "/of/the/caller")
    offsite = Offsite.from_params({**PARAMS, "offsite_options": {"sftp.command": "ssh nas -s sftp"}})
    assert offsite is not None
    assert offsite.command("check") == ["restic", "-o", "sftp.command=ssh nas -s sftp", "check"]
    own = {name: value for name, value in offsite.environment.items() if name.startswith("RESTIC_") or name == "A"}
    assert own == {
        "RESTIC_REPOSITORY": "/nas", "RESTIC_PASSWORD": "p", "RESTIC_CACHE_DIR": "/b/offsite/cache", "A": "1",
    }  # fmt: skip
