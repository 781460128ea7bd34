# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup is proved, or it says why not."""

from __future__ import annotations

from ansible_collections.slipway.deploy.plugins.filter.backup_states import FilterModule


def test_states() -> None:
    backups = [
        {"name": "a", "size": 107_498, "rows": 12, "proved": True, "problem": "", "unproved": [], "where": "both"},
        {"name": "b", "size": 5, "rows": 1, "proved": True, "problem": "", "unproved": ["table x"], "where": "here"},
        {"name": "c", "size": None, "proved": False, "problem": "Its checksum differs.", "where": "here"},
        {"name": "d", "size": 1, "rows": 0, "proved": False, "problem": "", "where": "away"},
    ]
    found = {"backups": backups, "without_manifest": ["e.dump"]}
    assert FilterModule().filters()["backup_states"](found) == [
        ["a", "both", "107 kB", 12, "proved"],
        ["b", "here", "5 B", 1, "proved, not: table x"],
        ["c", "here", "0 B", None, "Its checksum differs."],
        ["d", "away", "1 B", 0, "not proved"],
        ["e.dump", "here", "", None, "no backup: it has no manifest, so nothing vouches for it"],
    ]
