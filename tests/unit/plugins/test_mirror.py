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
# These are tested as wholes: a plugin's file, of whichever kind, is the only one that Ansible runs by its name.
PLUGINS = sorted(
    path.relative_to(ROOT / "plugins")
    for kind in ("action", "callback", "lookup", "module_utils", "modules", "plugin_utils")
    for path in (ROOT / "plugins" / kind).rglob("*.py")
)
TESTS = sorted({path.relative_to(kind) for kind in KINDS for path in kind.rglob("test_*.py")})
# About all of the plugins, and not about one.
GENERAL = {Path("test_mirror.py"), Path("test_rooms.py")}
# An action plugin that only names its base class has nothing of its own to test: the base is a core file, which has.
LINES_OF_NAMES_ALONE = 16


def mirrored(test: Path) -> bool:
    """Whether a test's name is that of a file with it, or begins with one for the sake of an aspect of it."""
    words = test.stem.removeprefix("test_").split("_")
    names = ("_".join(words[:number]) for number in range(1, len(words) + 1))
    return any(test.with_name(f"{name}.py") in PLUGINS for name in names if name)


def names_a_base_alone(plugin: Path) -> bool:
    text = (ROOT / "plugins" / plugin).read_text()
    return plugin.parts[0] == "action" and text.count("\n") <= LINES_OF_NAMES_ALONE and "def " not in text


@pytest.mark.parametrize("plugin", PLUGINS, ids=str)
def test_each_file_has_its_tests(plugin: Path) -> None:
    assert plugin.with_name(f"test_{plugin.name}") in TESTS or names_a_base_alone(plugin)


@pytest.mark.parametrize("test", TESTS, ids=str)
def test_each_test_is_about_a_file(test: Path) -> None:
    assert mirrored(test) or test in GENERAL


@pytest.mark.parametrize(
    ("test", "found"),
    [
        ("modules/test_backup.py", True),
        ("modules/test_backup_container.py", True),
        ("modules/test_back.py", False),
        ("modules/test_apply.py", False),
        ("module_utils/_migration/test_backup.py", False),
        ("module_utils/test__errors.py", True),
    ],
)
def test_what_a_name_is_about(test: str, found: bool) -> None:
    assert mirrored(Path(test)) is found
