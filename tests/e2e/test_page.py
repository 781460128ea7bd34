# SPDX-License-Identifier: GPL-3.0-or-later
"""The deployed page in a real browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from e2e.conftest import Deployed
from playwright.sync_api import Page, expect
from support.browser import PATIENCE, chromium
from support.environment import ROOT


@pytest.fixture
def page() -> Iterator[Page]:
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 1600})
        page.set_default_timeout(PATIENCE)
        yield page


def test_the_page_shows_what_the_database_holds(deployed: Deployed, page: Page) -> None:
    deployed.first.succeeded()
    troubles: list[str] = []
    page.on("console", lambda message: troubles.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("requestfailed", lambda request: troubles.append(request.url))

    page.goto(deployed.url)

    expect(page).to_have_title("autotest")
    teams = deployed.sql("SELECT name FROM teams")
    expect(page.locator("#teams .team")).to_have_count(len(teams))
    assert set(page.locator("#teams .team strong").all_inner_texts()) == {name for (name,) in teams}
    [(branch, commit)] = deployed.sql("SELECT branch, commit_sha FROM builds ORDER BY created_at DESC, id DESC LIMIT 1")
    newest = page.locator("#builds .build").first
    expect(newest.locator("b")).to_have_text(branch)
    expect(newest.locator("code")).to_have_text(commit[:7])
    lines = page.locator("#trend svg path.rate")  # a day without a rate is a gap, and one between two gaps a dot
    lines.first.wait_for(state="attached")  # it comes with an answer of its own
    drawn = lines.evaluate_all("lines => lines.map(line => line.getAttribute('d').split('L').length)")
    assert max(drawn) > 5  # days
    assert page.locator("#trend svg circle.dot").count() >= drawn.count(1)
    expect(lines.nth(drawn.index(max(drawn)))).to_be_visible()
    assert page.locator("#trend svg rect.column").count() == 30
    [(version,)] = deployed.sql("SELECT version FROM releases ORDER BY released_at DESC, id DESC LIMIT 1")
    expect(page.locator("#releases li b").first).to_have_text(version)
    names = {name for (name,) in deployed.sql("SELECT name FROM scheduled_tests")}
    expect(page.locator("#schedules li b")).to_have_count(min(len(names), 12))
    assert set(page.locator("#schedules li b").all_inner_texts()) <= names
    expect(page.locator("footer #release")).to_have_text(deployed.records()[-1]["release"])

    output = ROOT / "tests/output"
    output.mkdir(exist_ok=True)
    page.screenshot(path=output / "page.png", full_page=True)
    assert troubles == []


def test_a_build_opens_to_its_test_runs(deployed: Deployed, page: Page) -> None:
    [(build, branch)] = deployed.sql(
        "SELECT b.id, b.branch FROM builds b JOIN test_runs t ON t.build_id = b.id"
        " ORDER BY b.created_at DESC, b.id DESC LIMIT 1"
    )
    suites = {suite for (suite,) in deployed.sql("SELECT suite FROM test_runs WHERE build_id = %s", build)}
    page.goto(deployed.url)

    row = page.locator(f"#builds .build:has(#build-{build})")
    expect(row.locator("summary b")).to_have_text(branch)
    row.locator("summary").click()
    expect(row.locator("table tbody tr")).to_have_count(len(suites))
    assert set(row.locator("tbody th").all_inner_texts()) == suites
