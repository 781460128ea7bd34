# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import re
from pathlib import Path

from conftest import BACKEND


def test_the_page_loads_nothing_from_elsewhere() -> None:
    for file in (BACKEND.parent / "frontend").iterdir():
        addresses = set(re.findall(r"""(?:https?:)?//[a-z][^\s"'`)]*""", Path(file).read_text()))
        assert addresses <= {"http://www.w3.org/2000/svg"}, file
