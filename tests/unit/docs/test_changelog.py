# SPDX-License-Identifier: GPL-3.0-or-later
"""Fragments of the changelog are named so that towncrier takes each of them, and says something."""

from __future__ import annotations

import re
import tomllib

from support.release import ROOT

SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["towncrier"]


def test_fragments() -> None:
    types = "|".join(each["directory"] for each in SETTINGS["type"])
    for path in (ROOT / SETTINGS["directory"]).iterdir():
        assert re.fullmatch(rf"\+[\w.-]+?\.({types})\.md", path.name) or path.name == ".gitkeep", path.name
        assert path.name == ".gitkeep" or re.search(r"[.!]\n$", path.read_text()), path.name


def test_a_release_finds_its_place_in_the_changelog() -> None:
    assert (ROOT / SETTINGS["filename"]).read_text().count(SETTINGS["start_string"]) == 1
