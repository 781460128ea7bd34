# SPDX-License-Identifier: GPL-3.0-or-later
"""The tests mirror the plugins: whoever changes a file finds its tests by its name, and no test file is about nothing.

``_room/thing.py`` is tested in ``_room/test_thing.py``, of the unit tests, of the integration tests, or of both; one of
its aspects may have a file of its own, ``_room/test_thing_aspect.py``.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from support.release import ROOT

KINDS = [ROOT / "tests" / "unit" / "plugins", ROOT / "tests" / "integration" / "plugins"]
PLUGINS = sorted(path.relative_to(ROOT / "plugins") for path in (ROOT / "plugins").rglob("*.py"))
TESTS = sorted({path.relative_to(kind) for kind in KINDS for path in kind.rglob("test_*.py")})
# An action is a base from plugin_utils by its module's name, and is run through Ansible with its module.
TESTED = [path for path in PLUGINS if path.parts[0] in ("module_utils", "modules", "plugin_utils")]
# About all of the plugins, and not about one.
GENERAL = {Path("test_mirror.py"), Path("test_rooms.py")}


def is_about(test: Path) -> Path | None:
    """The file that a test's name begins with, the longest where there are several."""
    words = test.stem.removeprefix("test_").split("_")
    files = (test.with_name("_".join(words[:number]) + ".py") for number in range(len(words), 0, -1))
    return next((file for file in files if file in PLUGINS), None)


@pytest.mark.parametrize("file", TESTED, ids=str)
def test_each_file_has_its_tests(file: Path) -> None:
    assert file.with_name(f"test_{file.name}") in TESTS


@pytest.mark.parametrize("test", TESTS, ids=str)
def test_each_test_is_about_a_file(test: Path) -> None:
    assert is_about(test) or test in GENERAL


@pytest.mark.parametrize(
    ("test", "file"),
    [
        ("modules/test_backup.py", "modules/backup.py"),
        ("modules/test_backup_container.py", "modules/backup.py"),
        ("modules/test_backup_info_more.py", "modules/backup_info.py"),
        ("module_utils/test__errors.py", "module_utils/_errors.py"),
        ("modules/test_back.py", None),
        ("module_utils/_migration/test_backup.py", None),
    ],
)
def test_what_a_name_is_about(test: str, file: str | None) -> None:
    assert is_about(Path(test)) == (file and Path(file))
