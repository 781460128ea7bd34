# SPDX-License-Identifier: GPL-3.0-or-later
"""Pages in a real browser: what its console says, and what axe-core finds."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, Page, Request, expect, sync_playwright
from support.missing import missing

ROOT = Path(__file__).parents[2]
WORK = ROOT / ".cache" / "axe"
AXE = "axe-core@4.10.3"
ARGUMENTS = (
    *("--headless", "--no-sandbox", "--disable-gpu"),
    *("--disable-background-networking", "--no-first-run", "--disable-sync"),
)
PATIENCE = 30_000  # milliseconds
GRAVE = ("serious", "critical")


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's, which waits for what is expected as long as a busy machine may take."""
    program = shutil.which("chromium")
    if program is None:
        missing("There is no chromium: install the package of that name.")
    with sync_playwright() as playwright:
        expect.set_options(timeout=PATIENCE)
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield browser
        browser.close()


@functools.cache
def axe_source() -> str:
    """axe-core from its package."""
    if not shutil.which("npm"):
        missing("npm is not installed, so that axe-core can't be")
    WORK.mkdir(parents=True, exist_ok=True)
    file = WORK / "node_modules" / "axe-core" / "axe.min.js"
    with (WORK / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not file.exists():
            install = [
                "npm",
                "install",
                "--ignore-scripts",
                "--no-audit",
                "--no-fund",
                "--no-package-lock",
                "--no-save",
            ]
            subprocess.run([*install, "--prefix", str(WORK), AXE], cwd=WORK, check=True, timeout=600)
    return file.read_text()


def grave_findings(page: Page) -> list[str]:
    """What axe-core finds serious or critical, each with the element."""
    page.evaluate(axe_source())
    found = page.evaluate("axe.run({resultTypes: ['violations']})")
    assert len(found["passes"]) > 5
    return [
        f"{each['id']}: {node['html'][:200]}"
        for each in found["violations"] if each["impact"] in GRAVE
        for node in each["nodes"]
    ]  # fmt: skip


def troubles_of(page: Page, own: str) -> list[str]:
    """A list that fills with complaints of the console, and with requests that fail or go elsewhere than ``own``."""
    troubles: list[str] = []
    page.on("console", lambda message: troubles.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: troubles.append(str(error)))

    def failed(request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":  # by going on to another page
            troubles.append(f"failed: {request.url}: {request.failure}")

    def sent(url: str) -> None:
        if not url.startswith((own, "data:")):
            troubles.append(f"elsewhere: {url}")

    page.on("requestfailed", failed)
    page.on("request", lambda request: sent(request.url))
    return troubles
