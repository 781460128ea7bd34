# SPDX-License-Identifier: GPL-3.0-or-later
"""What the pages point at is there: files, headings, commands, tests; and the README leads to every page."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.release import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("roles/*/README.md")])
# How docs/prisma-facts.md shortens the paths of tests.
SHORT = {
    "facts": "tests/integration/prisma/test_facts.py",
    "both": "tests/integration/prisma/test_interoperability.py",
}
pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def prose(page: Path) -> str:
    """The text of a page without its blocks of code."""
    return re.sub(r"^```.*?^```$|^ {4}[^\n]*$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ +(.+?)\s*$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(page: Path) -> Iterator[str]:
    yield from (link for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)) if not re.match(r"[a-z]+:", link))


@pages
def test_a_link_leads_somewhere(page: Path) -> None:
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_the_readme_leads_to_every_page() -> None:
    reached, todo = set(), [ROOT / "README.md"]
    while todo:
        page = todo.pop()
        if page not in reached and page.suffix == ".md":
            reached.add(page)
            todo += [(page.parent / link.partition("#")[0]).resolve() for link in links(page) if link[0] != "#"]
    assert {page for page in PAGES if "roles" not in page.parts} <= reached


def named_tests(page: Path) -> list[str]:
    return re.findall(r"`([\w/.]+::test_\w+)`", page.read_text())


def test_every_test_that_a_page_names_exists() -> None:
    named = [(page, each) for page in PAGES for each in named_tests(page)]
    assert len(named) > 30
    for page, each in named:
        path, _, name = each.partition("::")
        files = [ROOT / SHORT[path]] if path in SHORT else list((ROOT / "tests").rglob(path))
        files = files or [file for file in (ROOT / "tests").rglob(Path(path).name) if str(file).endswith(path)]
        assert files, f"{page.name}: {each}"
        found = {node.name for file in files for node in ast.walk(ast.parse(file.read_text()))
                 if isinstance(node, ast.FunctionDef)}  # fmt: skip
        assert name in found, f"{page.name}: {each}"


@pages
def test_every_command_of_make_exists(page: Path) -> None:
    rules = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    rules |= {path.stem for path in (ROOT / "playbooks").glob("*.yml")}
    named = set(re.findall(r"(?:`|^ {4})make (?:-\w+ )?([a-z_-]+)", page.read_text(), re.MULTILINE))
    assert named <= rules


@pages
def test_every_playbook_that_is_named_exists(page: Path) -> None:
    for name in re.findall(r"`[^`\n]*playbooks/([\w]+\.yml)", page.read_text()):
        assert (ROOT / "playbooks" / name).is_file(), name


def sentences() -> str:
    """The text of every message of the project, with what is filled in as an ellipsis."""
    texts = []
    for path in [*ROOT.glob("plugins/**/*.py"), *ROOT.glob("tools/*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                parts = [str(each.value) if isinstance(each, ast.Constant) else "…" for each in node.values]
                texts.append("".join(parts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    texts += [path.read_text() for path in [ROOT / "Makefile", *ROOT.glob("roles/*/tasks/*.yml")]]
    return re.sub(r"\W+", " ", "\n".join(texts))


def test_every_sentence_that_troubleshooting_quotes_is_said() -> None:
    said = sentences()
    quoted = re.findall(r"^\| `([^`]+)`", (ROOT / "docs/troubleshooting.md").read_text(), re.MULTILINE)
    assert len(quoted) > 30
    for each in quoted:
        for part in each.split("…"):
            assert re.sub(r"\W+", " ", part).strip() in said, each


def test_the_picture_of_the_core_is_the_core() -> None:
    text = (ROOT / "docs/architecture.md").read_text()
    rooms = {room for row in re.findall(r"^\| (`_.+?) \|", text, re.MULTILINE) for room in re.findall(r"`(\w+)`", row)}
    assert rooms == {path.stem for path in (ROOT / "plugins/module_utils").glob("_*") if path.stem != "__pycache__"}
    files = [str(path) for path in ROOT.glob("plugins/**/*.py")]
    for name in re.findall(r"`([\w/]+\.py)`", text):
        assert any(file.endswith(f"/{name}") for file in files), name
