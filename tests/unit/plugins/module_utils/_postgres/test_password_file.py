# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path

from ansible_collections.slipway.deploy.plugins.module_utils._postgres import password_file


def test_it_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "postgres-secrets" / "superuser-password"
    assert password_file.differs(path, "pässword")
    password_file.write(path, "pässword")
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert path.read_text(encoding="utf-8") == "pässword"
    assert not password_file.differs(path, "pässword")
    assert password_file.differs(path, "another")
    for wider in (path, path.parent):
        wider.chmod(0o755)
        assert password_file.differs(path, "pässword")
        password_file.write(path, "pässword")
        assert not password_file.differs(path, "pässword")


def test_a_password_in_the_environment() -> None:
    assert password_file.in_environment(["LANG=C", "POSTGRES_PASSWORD=x"])
    assert not password_file.in_environment(["POSTGRES_PASSWORD_FILE=/run/secrets/x", "POSTGRES_USER=postgres"])
