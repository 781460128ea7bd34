# SPDX-License-Identifier: GPL-3.0-or-later
"""What is listed of a directory of backups."""

from __future__ import annotations

import os

from support.backup import Site, run_module


def test_a_file_that_this_user_may_not_read(site: Site) -> None:
    if os.geteuid() == 0:
        user = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
        os.chmod(site.directory.parent, 0o755)
        for parent in (site.directory.parent.parent, site.directory.parent.parent.parent):
            os.chmod(parent, 0o755)
    else:
        user = ()
    site.directory.mkdir(mode=0o700)
    site.directory.chmod(0o000)
    try:
        failed = run_module("backup_info", {"directory": str(site.directory / "below")}, user)
    finally:
        site.directory.chmod(0o700)
    assert failed["msg"] == (
        f"Can't use {site.directory}/below: Permission denied; check that the directory exists and belongs to the user "
        "that the task runs as."
    )


def test_a_damaged_manifest_is_no_missing_backup(site: Site) -> None:
    older = site.backup()["backup"]["name"]
    site.execute("INSERT INTO t (x) VALUES ('more')")
    newer = site.backup()["backup"]["name"]
    manifest = site.directory / f"{newer}.json"
    text = manifest.read_text()
    for damaged in ("", text[: len(text) // 2], text.replace('"rows": 1001', '"rows": [')):
        manifest.write_text(damaged)
        told = site.restore()["msg"]
        assert told.startswith(
            f"Backup '{newer}' in {site.directory} is damaged: The manifest of backup '{newer}' can't"
        )
        assert told.endswith(f"or name another backup (the newest whole one: {older}).")
        assert site.restore(backup=newer)["msg"] == told
        found = site.info()["backups"]
        assert [(backup["name"], backup["proved"], bool(backup["problem"])) for backup in found] == [
            (older, True, False),
            (newer, False, True),
        ]
    assert site.restore(backup=older, check=True)["restore"]["backup"] == older


def test_whether_there_is_one_to_rely_on(site: Site) -> None:
    told: dict[str, object] = {"application": "autotest", "environment_name": "test", "max_age": 26.0}
    assert site.info(**told)["problems"] == ["There is no proved backup: take one."]
    name = site.backup()["backup"]["name"]
    assert site.info(**told)["problems"] == []
    assert "problems" not in site.info()
    late = site.info(**{**told, "max_age": 0.0})["problems"]
    assert len(late) == 1
    assert late[0].startswith(f"The newest proved backup, {name}, is ")
    undrilled = site.info(**told, drill_max_age=192.0)
    assert undrilled["problems"] == ["No drill was made yet: see that its timer runs, or start its service."]
    # Nobody listens at the switch, which is told too.
    silent = site.info(**told, drill_max_age=192.0, ping_url="http://127.0.0.1:9/hook")["problems"]
    assert silent[1:] == ["The ping of 127.0.0.1:9 failed ([Errno 111] Connection refused)."]
