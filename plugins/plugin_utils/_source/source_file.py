# SPDX-License-Identifier: GPL-3.0-or-later
"""A file of the controller that is made from the schema: written where it differs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible_collections.slipway.deploy.plugins.module_utils._host.files import read, replace_file

MODE = 0o644  # what a repository holds is for all to read


def kept(path: Path, content: str, what: str, check_mode: bool) -> dict[str, Any]:
    """Have ``path`` hold ``content``: a task's result with ``changed``, ``current``, ``actions`` and ``diff``.

    ``what`` is what it holds in words. Raises OSError where that can't be. In check mode nothing is written, and the
    result is the same but for its words.
    """
    before = read(str(path))
    changed = before != content
    if changed and not check_mode:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(str(path), content, MODE)
    diff = {"before_header": str(path), "after_header": str(path), "before": before, "after": content}
    actions = [f"{'Would write' if check_mode else 'Wrote'} {what} to {path}."] if changed else []
    return {"changed": changed, "current": not changed, "actions": actions, "diff": diff}
