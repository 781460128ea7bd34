# SPDX-License-Identifier: GPL-3.0-or-later
"""The studio as an operator opens it, in a real browser, on the reference application's database."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from e2e.conftest import Deployed
from playwright.sync_api import Browser, Page, expect
from support.browser import PATIENCE, chromium, grave_findings, troubles_of
from support.environment import free_port
from support.orphans import alive, descendants, wait_until
from support.studio import Studio, running

NINE = ["builds", "github_tokens", "releases", "scheduled_tests", "team_members", "team_settings", "teams",
        "test_runs", "users"]  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def studio(deployed: Deployed) -> Iterator[Studio]:
    with running(deployed, port=free_port()) as found:
        yield found


@pytest.fixture(scope="module")
def page(browser: Browser, studio: Studio) -> Page:
    """Signed in by the token."""
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(studio.url)
    expect(page).to_have_url(f"{studio.origin}/")
    return page


def count(page: Page) -> int:
    """The number of rows that a list says it has."""
    found = re.search(r"of ([\d,]+) rows", page.locator("nav.pages").inner_text())
    return int(found[1].replace(",", "")) if found else 0


def test_every_table_is_shown_with_its_rows(deployed: Deployed, studio: Studio, page: Page) -> None:
    troubles = troubles_of(page, studio.origin)
    rows = deployed.rows()
    assert sorted(rows) == NINE
    expect(page.locator(".studio-access")).to_have_text("read-only, as autotest_readonly")
    assert grave_findings(page) == []
    for table in NINE:
        page.get_by_role("navigation", name="Tables").get_by_role("link", name=table, exact=True).click()
        expect(page.get_by_role("heading", level=1)).to_have_text(table)
        assert count(page) == rows[table]
        expect(page.locator("tbody tr")).to_have_count(min(rows[table], 25))
        page.get_by_text("Filters", exact=True).click()
        assert grave_findings(page) == [], table
        if rows[table]:
            page.get_by_role("link", name=re.compile("^Open row")).first.click()
            expect(page.get_by_role("columnheader", name="value")).to_be_visible()
            assert grave_findings(page) == [], table
            assert (
                page.get_by_role("link", name="Edit").count() == page.get_by_role("button", name="Delete").count() == 0
            )
    assert troubles == []


def test_relations_are_links_both_ways(deployed: Deployed, studio: Studio, page: Page) -> None:
    [(run, build)] = deployed.sql("SELECT id, build_id FROM test_runs WHERE build_id IS NOT NULL ORDER BY id LIMIT 1")
    page.goto(f"{studio.origin}/test_runs/details/{run}")
    page.locator("tr", has=page.get_by_role("rowheader", name="build_id", exact=True)).get_by_role("link").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"builds {build}")
    page.get_by_role("link", name="test_runs (build_id)").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("test_runs")
    assert count(page) == deployed.sql("SELECT count(*) FROM test_runs WHERE build_id = %s", build)[0][0]


def test_rows_are_searched_sorted_filtered_and_paged(deployed: Deployed, studio: Studio, page: Page) -> None:
    troubles = troubles_of(page, studio.origin)
    [(email,)] = deployed.sql("SELECT email FROM users ORDER BY id LIMIT 1")
    page.goto(f"{studio.origin}/users/list")
    page.get_by_role("searchbox", name="Search").fill(email.upper())
    page.get_by_role("button", name="Search").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.locator("tbody")).to_contain_text(email)

    page.goto(f"{studio.origin}/builds/list")
    column = page.locator("thead th").all_inner_texts().index("branch")
    page.get_by_role("link", name="branch", exact=True).click()
    page.get_by_role("link", name="branch ↑").click()
    [(last,)] = deployed.sql("SELECT max(branch) FROM builds")
    expect(page.locator("tbody tr").first.locator("td").nth(column)).to_have_text(last)
    expect(page.locator("th[aria-sort=descending]")).to_have_text("branch ↓")

    page.get_by_text("Filters", exact=True).click()
    page.get_by_label("How branch is compared").select_option("equals")
    page.get_by_label("branch", exact=True).fill(last)
    page.get_by_role("button", name="Filter", exact=True).click()
    expect(page.get_by_text("Filters (1)")).to_be_visible()
    assert count(page) == deployed.sql("SELECT count(*) FROM builds WHERE branch = %s", last)[0][0]

    page.goto(f"{studio.origin}/test_runs/list")
    seen = page.get_by_role("link", name=re.compile("^Open row")).first.get_attribute("href")
    page.get_by_role("link", name="Next").click()
    expect(page.locator("nav.pages [aria-current=page]")).to_have_text("2")
    assert page.get_by_role("link", name=re.compile("^Open row")).first.get_attribute("href") != seen
    page.get_by_role("link", name="1000 rows a page").click()
    expect(page.locator("tbody tr")).to_have_count(min(1000, deployed.rows()["test_runs"]))
    assert troubles == []


def found_at(studio: Studio) -> str:
    return f"{studio.origin}/users/list"


class Elsewhere(BaseHTTPRequestHandler):
    """A page of another program on this machine."""

    def do_GET(self) -> None:  # http.server calls it so
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<title>elsewhere</title>")

    def log_message(self, *_arguments: object) -> None:
        pass


def test_the_token_counts_once_and_other_pages_get_nothing(browser: Browser, studio: Studio, page: Page) -> None:
    with browser.new_context() as other:
        answer = other.new_page().goto(studio.url)
        assert answer is not None
        assert (answer.status, "opened already" in answer.text()) == (403, True)
        answer = other.new_page().goto(f"{studio.origin}/users/list")
        assert answer is not None
        assert answer.status == 401
    with HTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        tab = page.context.new_page()  # in which the cookie is sent, too: the site is the same
        tab.goto(f"http://127.0.0.1:{server.server_port}/")
        fetch = (
            "address => fetch(address, {mode: 'no-cors', credentials: 'include'}).then(() => 'there', () => 'refused')"
        )
        assert tab.evaluate(fetch, found_at(studio)) == "refused"
        origin = {"Origin": f"http://127.0.0.1:{server.server_port}"}
        assert page.context.request.get(found_at(studio), headers=origin).status == 403
        assert page.context.request.get(found_at(studio)).status == 200  # it is that alone
        tab.close()
        server.shutdown()
    answer = page.goto(found_at(studio))
    assert answer is not None
    assert answer.ok


def test_ctrl_c_leaves_nothing_running(deployed: Deployed) -> None:
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'slipway read-only'"
    [(before,)] = deployed.sql(sessions)
    with running(deployed) as studio:
        assert deployed.sql(sessions)[0][0] > before
        below = descendants(studio.process.pid)
    assert not any(map(alive, [studio.process.pid, *below]))
    wait_until(lambda: deployed.sql(sessions) == [(before,)])


def test_check_mode_starts_nothing(deployed: Deployed) -> None:
    before = deployed.files()
    for playbook in ("studio", "psql"):
        done = deployed.play(f"playbooks/{playbook}.yml", "--check").succeeded()
        assert f"Would open {playbook} on autotest-local, read-only." in done.output
    assert deployed.files() == before


PASSWORDS = {
    f"database_{name}_password": f"kQ7xLm2ZpR9t-{name}" for name in ("owner", "superuser", "application", "readonly")
}


@pytest.mark.parametrize(
    ("playbook", "variables", "said"),
    [
        (
            "studio",
            {"write": "true"},
            "The studio only reads in prod: run it without -e write=true, and change data by a",
        ),
        (
            "psql",
            {"role": "owner"},
            "As owner a session writes on database autotest of prod: run again with -e confirm=prod",
        ),
    ],
)
def test_prod_refuses_to_write(deployed: Deployed, playbook: str, variables: dict[str, str], said: str) -> None:
    refused = deployed.play(f"playbooks/{playbook}.yml", environment_name="prod", **PASSWORDS, **variables).failed()
    assert refused.messages[0].startswith(said)


def test_psql_runs_a_statement_of_the_playbook(deployed: Deployed) -> None:
    done = deployed.play("playbooks/psql.yml", sql="'SELECT current_user, count(*) FROM users'").succeeded()
    assert f"autotest_readonly | {deployed.rows()['users']:>5}" in done.output
    refused = deployed.play("playbooks/psql.yml", sql="'DELETE FROM users'")
    assert refused.code == 1
    assert "cannot execute DELETE in a read-only transaction" in refused.output
