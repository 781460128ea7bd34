# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of a run in a real browser, opened from disk, in both colour schemes and on a narrow screen."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from ansible_collections.slipway.deploy.plugins.plugin_utils._page.page import page
from playwright.sync_api import Browser
from support.browser import chromium, grave_findings, troubles_of
from support.runs import WHOLE

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 390)])
def test_a_page_from_disk(browser: Browser, tmp_path: Path, scheme: Literal["light", "dark"], width: int) -> None:
    file = tmp_path / "run.html"
    file.write_text(page(json.loads(json.dumps(WHOLE))))
    # The page's own policy lets no script run, axe-core neither.
    context = browser.new_context(
        color_scheme=scheme, viewport={"width": width, "height": 900}, bypass_csp=True, offline=True
    )
    opened = context.new_page()
    troubles = troubles_of(opened, file.as_uri())
    opened.goto(file.as_uri())
    background = opened.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == {"light": "rgb(246, 247, 249)", "dark": "rgb(18, 22, 28)"}[scheme]
    assert opened.evaluate("document.documentElement.scrollWidth") <= width
    assert opened.locator("svg.schema g.box").count() == 4
    assert grave_findings(opened) == []
    assert troubles == []
    context.close()
    strict = browser.new_page()
    troubles = troubles_of(strict, file.as_uri())
    strict.goto(file.as_uri())
    assert troubles == []
    strict.close()
