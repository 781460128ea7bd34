# SPDX-License-Identifier: GPL-3.0-or-later
"""The configurations that led to the releases which are kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._release.former import Former


def test_kept_read_and_forgotten(tmp_path: Path) -> None:
    former = Former(str(tmp_path / "frontend" / "config" / "nginx.conf"))
    (tmp_path / "frontend").mkdir()
    assert former.names() == set()
    former.forget(["one"])
    former.keep("one", "leads to one")
    former.keep("two", "leads to two")
    former.keep("one", "leads to one again")
    assert former.names() == {"one", "two"}
    assert former.content("one") == "leads to one again"
    former.forget(["two"])
    assert former.names() == {"two"}
    with pytest.raises(SlipwayError, match="How requests were led to one was not kept in "):
        former.content("one")
