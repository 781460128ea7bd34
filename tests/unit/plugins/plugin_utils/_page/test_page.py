# SPDX-License-Identifier: GPL-3.0-or-later
"""A record as a page: all that it says is there, it needs nothing else, and no value of it is more than text."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any

import pytest
from ansible_collections.slipway.deploy.plugins.plugin_utils._page.page import page
from support.runs import AFTER, FAILED, RECORD, WHOLE

HOSTILE = (
    """</style></title><script>alert(1)</script>"'><img src=http://evil.example.com onerror=alert(1)>{{ 7 * 7 }}&amp;"""
)
# Of which there are only a few, or which are read as a time.
FIXED = ("started", "finished", "blocks")


class Read(HTMLParser):
    """The tags of a page with their attributes, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, list[str]]] = []
        self.values: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, [name for name, _value in attrs]))
        self.values += [value or "" for _name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += " " + data


def hostile(value: Any, name: str = "") -> Any:
    """The same with a hostile end on every text."""
    if isinstance(value, dict):
        return {key: hostile(each, key) for key, each in value.items()}
    if isinstance(value, list):
        return [hostile(each, name) for each in value]
    return value + HOSTILE if isinstance(value, str) and value and name not in FIXED else value


def kept(record: dict[str, Any]) -> dict[str, Any]:
    """As it is read from its file."""
    found: dict[str, Any] = json.loads(json.dumps(record))
    return found


@pytest.mark.parametrize(
    "words",
    [
        "shop/test: deploy succeeded", "60 s", "zoe", "runner-7", "1234567+", "files were changed since that commit",
        "20260101000000_amounts_are_big", "4.500 s", "4.250 s", "ACCESS EXCLUSIVE", "4.210 s", "rewritten", "1.4 GB",
        "35.2", "not by this run", "shop-20260102T030405Z", "restored and compared", "12,345", "cd" * 32,
        "an event trigger", "The repository does not answer.", "GET /orders", "column total does not exist",
        "up to date: 3 tables, 12,345 rows", "Role shop_app is a guest.", "index public.by_hand",
        "CREATE INDEX by_hand",
        "sha256:" + "ab" * 32, "digest not known", "./warm up", "orders.note: column added, text",
        "orders.total: column changed, numeric(12,2) null, which was integer", "order_lines: table added",
        "legacy: table removed", "stopped",
    ],
)  # fmt: skip
def test_what_the_record_says_is_on_the_page(words: str) -> None:
    assert words in " ".join(Read(page(kept(WHOLE))).text.split())


def test_a_page_needs_nothing_else() -> None:
    read = Read(page(kept(WHOLE)))
    names = {tag for tag, _attributes in read.tags}
    assert not names & {"script", "iframe", "object", "img", "form", "base"}
    assert [attributes for tag, attributes in read.tags if tag == "link"] == [["rel", "href"]]
    assert not [value for value in read.values if "//" in value]
    assert "@import" not in page(kept(WHOLE))
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in read.values
    assert ("html", ["lang"]) in read.tags
    assert "prefers-color-scheme: dark" in page(kept(WHOLE))


def test_no_value_is_more_than_text() -> None:
    harmless, attacked = Read(page(kept(WHOLE))), Read(page(hostile(kept(WHOLE))))
    assert sorted(attacked.tags) == sorted(harmless.tags)
    assert attacked.text.count("<script>alert(1)</script>") > 60
    assert "49" not in page({**kept(RECORD.result()), "application": "{{ 7 * 7 }}"})


@pytest.mark.parametrize("part", sorted(WHOLE.keys() - {"application", "environment", "verb", "status"}))
def test_a_record_without_a_part_has_a_page_without_it(part: str) -> None:
    assert page({name: value for name, value in kept(WHOLE).items() if name != part})


def test_a_run_that_failed() -> None:
    text = Read(page(kept(FAILED.result()))).text
    assert "failed in migrate" in text
    assert "db: there is no such table" in text
    assert "Schema" not in text


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"before": AFTER, "after": AFTER}, "This run did not change it."),
        ({"before": AFTER, "after": None}, "As it was found; what this run changed is not known."),
        ({"before": None, "after": AFTER}, "As it was found; what this run changed is not known."),
    ],
)
def test_a_schema_that_was_not_changed(schema: dict[str, Any], words: str) -> None:
    html = page({**kept(RECORD.result()), "schema": schema})
    assert words in html
    assert 'class="box added"' not in html
