# SPDX-License-Identifier: GPL-3.0-or-later
"""What the file system refuses is told, and leaves nothing."""

from __future__ import annotations

from pathlib import Path

from support.backup import Site


def test_a_full_disk(site: Site) -> None:
    site.execute("CREATE TABLE noise AS SELECT md5(g::text) FROM generate_series(1, 20000) g")
    site.directory.mkdir(mode=0o700)
    inside = (
        "unshare", "--user", "--map-root-user", "--mount", "sh", "-c",
        'mount -t tmpfs -o size=64k none "$0" && "$@"; code=$?; ls "$0" >&2; exit $code', str(site.directory),
    )  # fmt: skip
    enough = site.backup(prefix=inside)
    assert "are free in" in enough["msg"]
    assert "lower space_factor" in enough["msg"]
    failed = site.backup(prefix=inside, space_factor=0)
    assert "No space left on device" in failed["msg"]
    assert "free some space there and run again." in failed["msg"]
    assert site.databases() == []
    assert site.backup()["backup"]["proved"]


def test_a_disk_that_is_full_at_each_step(site: Site) -> None:
    """From room for nothing to room for all: in the dump, at its end, in the manifest, at the removal of older ones."""
    site.execute("CREATE TABLE noise AS SELECT md5(g::text) FROM generate_series(1, 2000) g")
    site.directory.mkdir(mode=0o700)
    told = []
    for pages in range(1, 200, 3):
        inside = (
            "unshare", "--user", "--map-root-user", "--mount", "sh", "-c",
            f'mount -t tmpfs -o size={pages * 4}k none "$0" && "$@"; code=$?; '
            'ls "$0" | tr "\n" " " > "$0.seen"; exit $code', str(site.directory),
        )  # fmt: skip
        done = site.backup(prefix=inside, space_factor=0)
        left = site.directory.with_name(f"{site.directory.name}.seen").read_text().split()
        assert site.databases() == []
        if done.get("msg") is None:
            assert left == [f"{done['backup']['name']}.dump", f"{done['backup']['name']}.json"]
            break
        assert left == [], done["msg"]
        told.append(done["msg"])
    else:
        raise AssertionError(told[-1])
    assert all("No space left on device" in each for each in told)
    assert len(told) > 3


def test_a_read_only_directory(site: Site) -> None:
    site.directory.mkdir(mode=0o700)
    inside = (
        "unshare", "--user", "--map-root-user", "--mount", "sh", "-c",
        'mount -t tmpfs -o ro none "$0" && exec "$@"', str(site.directory),
    )  # fmt: skip
    failed = site.backup(prefix=inside, space_factor=0)
    assert failed["msg"].startswith(f"Can't use {site.directory}/")
    assert failed["msg"].endswith(
        ".dump.partial: Read-only file system; its file system is mounted read-only: mount it writable (after an error "
        "of the disk see dmesg), or name another directory."
    )
    assert site.databases() == []


def test_a_directory_that_can_not_be_made(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    failed = site.backup(directory=str(tmp_path / "file"))
    assert failed["msg"] == (
        f"Can't use {tmp_path}/file: File exists; check that the directory exists and belongs to the user that the "
        "task runs as."
    )
