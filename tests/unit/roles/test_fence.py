# SPDX-License-Identifier: GPL-3.0-or-later
"""A run that lost its controller goes no further than the module it is in: what removes or loops knows the fence."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROLES = Path(__file__).parents[3] / "roles"


def tasks(found: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for task in found:
        yield task
        for part in ("block", "rescue", "always"):
            yield from tasks(task.get(part, []))


@pytest.mark.parametrize("file", sorted(ROLES.glob("*/tasks/*.yml")), ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def test_another_collections_module_neither_loops_nor_removes(file: Path) -> None:
    """After its controller's death a worker would begin the next round, and no such module looks at the fence."""
    for task in tasks(yaml.safe_load(file.read_text())):
        for module in (name for name in task if name.count(".") == 2):
            if module.startswith(("community.", "ansible.posix.")):
                assert task[module].get("state") != "absent", task["name"]
            # The controller itself, and no worker of it, goes from one included file to the next.
            loops = "loop" in task and module != "ansible.builtin.include_tasks"
            assert not loops or module.startswith("slipway.deploy."), task["name"]
