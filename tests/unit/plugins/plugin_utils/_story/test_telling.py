# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run's events come to: the lines, as text."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.slipway.deploy.plugins.plugin_utils._story.facts import HIDDEN
from ansible_collections.slipway.deploy.plugins.plugin_utils._story.layout import Code, Item, plain
from ansible_collections.slipway.deploy.plugins.plugin_utils._story.telling import Event, Story, recap, short

BACKUP = "(3/8) BACKUP: dump, restore, compare"
TAKEN = {
    "changed": True,
    "actions": ["Dumped it.", "Restored it."],
    "backup": {"proved": True, "tables": {"a": 1}, "rows": 1204, "size": 1_200_000},
}


def texts(items: list[Item]) -> list[str]:
    return [f"<{item.file}> {item.text}" if isinstance(item, Code) else plain(item) for item in items]


def event(result: dict[str, Any] | None = None, host: str = "db", **more: Any) -> Event:
    return Event(host, more.pop("task", "Do it"), result or {}, **more)


def line(label: str, words: str, seconds: str = "3.1 s") -> str:
    return f"{label:<17}{words}{seconds:>{63 - len(words)}}"


def told(*done: Event, play: str = BACKUP, check: bool = False, skipped: int = 0) -> list[str]:
    """A phase of 3.1 s in which this was done."""
    story = Story(80, check)
    story.begin(play, 10.0)
    for each in done:
        story.done(each)
    for _ in range(skipped):
        story.skipped(event())
    return texts(story.close(13.1))


NOTED = event({"msg": "All assertions passed"}, work=False)
ROWS = event({"msg": ["shop-test: 1 backup", "  20250101_a   proved"]}, work=False, says=True)


@pytest.mark.parametrize(
    ("play", "done", "lines"),
    [
        pytest.param(
            BACKUP, [event(TAKEN)],
            [line("(3/8) BACKUP", "proved by a restore: 1 table, 1,204 rows, 1.2 MB"), "    Dumped it. Restored it."],
            id="a fact and what was changed",
        ),
        pytest.param(BACKUP, [], [line("(3/8) BACKUP", "nothing to do")], id="nothing ran"),
        pytest.param(BACKUP, [NOTED], [line("(3/8) BACKUP", "nothing to do")], id="nothing but bookkeeping ran"),
        pytest.param(BACKUP, [event()], [line("(3/8) BACKUP", "done")], id="no fact"),
        pytest.param(
            BACKUP, [event({"seed": {"due": False}, "host": {"free_megabytes": 5000}}, told=["seed"])],
            [line("(3/8) BACKUP", "not due")], id="only the facts that a task wants told",
        ),
        pytest.param(
            BACKUP, [event({"changed": True}, task="Start nginx")],
            [line("(3/8) BACKUP", "changed"), "    Start nginx."], id="a change without sentences",
        ),
        pytest.param(
            BACKUP, [event(TAKEN), event({"changed": False, "seed": {"due": False}})],
            [
                line("(3/8) BACKUP", "proved by a restore: 1 table, 1,204 rows, 1.2 MB, not"),
                "                 due",
                "    Dumped it. Restored it.",
            ],
            id="more facts than a line holds",
        ),
        pytest.param(
            "(5/8) SEED: only an empty one", [event(), event({"msg": "Nothing is seeded."}, work=False, says=True)],
            [line("(5/8) SEED", "done"), "    Nothing is seeded."], id="a remark",
        ),
        pytest.param(
            "(8/8) REPORT: the ledger", [event(), ROWS],
            [line("(8/8) REPORT", "done"), "shop-test: 1 backup", "  20250101_a   proved"], id="a report",
        ),
        pytest.param("BACKUPS: of it", [event(), ROWS], ["shop-test: 1 backup", "  20250101_a   proved"], id="answer"),
        pytest.param(
            "DRIFT: of it", [event({"msg": "It is as it was made."}, work=False, says=True)], ["It is as it was made."],
            id="an answer of one sentence",
        ),
        pytest.param("PREFLIGHT", [event()], [], id="a phase of a verb in which nothing is to be told"),
        pytest.param("PREFLIGHT", [], [], id="a phase of a verb in which there was nothing"),
        pytest.param("BACKUP: of a verb", [event(TAKEN)], [
            line("BACKUP", "proved by a restore: 1 table, 1,204 rows, 1.2 MB"), "    Dumped it. Restored it.",
        ], id="a phase of a verb"),
    ],
)  # fmt: skip
def test_a_phases_lines(play: str, done: list[Event], lines: list[str]) -> None:
    assert told(*done, play=play) == lines


def test_a_phase_that_is_skipped_says_so() -> None:
    assert told(skipped=2) == [line("(3/8) BACKUP", "nothing to do")]
    assert told(skipped=2, play="BACKUP: of a verb") == [line("BACKUP", "nothing to do")]
    assert told(skipped=2, check=True) == [line("(3/8) BACKUP", "skipped")]


def test_later_words_of_a_thing_take_the_place_of_earlier_ones() -> None:
    state = {"applied_now": [{}], "pending": [], "status": "up_to_date"}
    lines = told(event({"migrations": state}), event({"changed": True, "migrations": state, "actions": ["Applied a."]}))
    assert lines == [line("(3/8) BACKUP", "1 applied"), "    Applied a."]


def test_plays_of_one_name_are_one_phase() -> None:
    story = Story(80)
    assert story.begin("(1/8) PREFLIGHT: variables", 0.0) == []
    assert story.begin("(1/8) PREFLIGHT: the engine", 1.0) == []
    assert texts(story.begin("(2/8) DATABASE: it", 3.1)) == [line("(1/8) PREFLIGHT", "nothing to do")]
    assert texts(story.begin("(3/8) BACKUP", 6.2)) == [line("(2/8) DATABASE", "nothing to do")]


def test_a_host_is_named_where_there_are_several() -> None:
    first, second = event(TAKEN, host="a"), event(TAKEN, host="b")
    lines = told(event(work=False, host=""), first)
    assert lines[1] == "    Dumped it. Restored it."
    lines = told(first, second, event({"msg": "Mind it."}, host="b", work=False, says=True))
    assert lines == [
        line("(3/8) BACKUP", "a: proved by a restore: 1 table, 1,204 rows, 1.2 MB;"),
        "                 b: proved by a restore: 1 table, 1,204 rows, 1.2 MB",
        "    a: Dumped it. Restored it.",
        "    b: Dumped it. Restored it.",
        "    b: Mind it.",
    ]


def test_a_warning_is_told_once_and_in_full() -> None:
    story = Story(80)
    story.begin(BACKUP, 0.0)
    story.warn("db", "It may be slow: " + "very " * 20 + "slow.")
    story.warn("db", "It may be slow: " + "very " * 20 + "slow.")
    story.done(event())
    assert texts(story.close(3.1)) == [
        line("(3/8) BACKUP", "done"),
        "    warning: It may be slow: very very very very very very very very very very",
        "    very very very very very very very very very very slow.",
    ]


MESSAGE = "It failed at a.sql:2:18:\n  2 | UPDATE teams SET budgte = 3;\n    |                  ^"


def test_a_failure_is_its_sentence_and_what_follows_is_its_consequence() -> None:
    story = Story(80)
    story.begin("(4/8) MIGRATE: rehearse, then apply", 0.0)
    story.done(event({"changed": True, "actions": ["Applied one."]}))
    assert texts(story.fail(event({"msg": MESSAGE}, task="Apply"), 3.1)) == [
        line("(4/8) MIGRATE", "FAILED: Apply"),
        "    It failed at a.sql:2:18:",
        "      2 | UPDATE teams SET budgte = 3;",
        "        |                  ^",
        "    Applied one.",
    ]
    assert texts(story.fail(event({"msg": "The deploy failed.\n\nIt is recorded."}, task="Stop"), 3.2)) == [
        "STOPPED          The deploy failed.",
        "                 It is recorded.",
    ]
    assert story.close(4.0) == []
    assert story.failed == {"db"}


def test_a_failure_shows_the_table_of_its_result() -> None:
    story = Story(80)
    story.begin(BACKUP, 0.0)
    table = {"title": "Locks", "columns": ["table"], "rows": [["orders"]], "lines": ["All."]}
    assert texts(story.fail(event({"msg": "No.", "shown": table}), 3.1))[1:] == [
        "    No.", "Locks", "  table", "  orders", "All.",
    ]  # fmt: skip


def test_a_failure_on_one_of_several_hosts_says_on_which() -> None:
    story = Story(80)
    story.begin(BACKUP, 0.0)
    story.done(event(host="a"))
    found = texts(story.fail(event({"msg": "No."}, host="b"), 3.1, "UNREACHABLE"))
    assert found == [line("(3/8) BACKUP", "UNREACHABLE on b: Do it"), "    No."]
    assert texts(story.fail(event({"msg": "Stop."}, host="b"), 3.1)) == ["STOPPED          b: Stop."]


def test_no_phase_is_told_to_which_no_host_came() -> None:
    story = Story(80)
    story.begin("(1/8) PREFLIGHT: look", 0.0)
    story.fail(event({"msg": "No."}), 3.1, "UNREACHABLE")
    assert story.begin("(2/8) DATABASE: the server", 3.1) == []
    assert story.close(3.1) == []


def test_the_items_of_a_loop_fail_each() -> None:
    story = Story(80)
    story.begin(BACKUP, 0.0)
    for item in ("one", "two"):
        found = texts(story.fail(event({"msg": f"No {item}."}, item=f"item={item}"), 3.1))
        assert found == [line("(3/8) BACKUP", f"FAILED: Do it (item={item})"), f"    No {item}."]


def test_a_failure_that_is_ignored_is_no_end() -> None:
    story = Story(80)
    story.begin(BACKUP, 0.0)
    found = texts(story.fail(event({"msg": "No."}), 3.1, ignored=True))
    assert found == [line("(3/8) BACKUP", "FAILED, ignored: Do it"), "    No."]
    assert story.failed == set()
    assert texts(story.close(3.1)) == [line("(3/8) BACKUP", "nothing to do")]


def test_a_hidden_failure_gives_way_to_what_explains_it() -> None:
    hidden = event({"censored": "by no_log"}, task="Start it")
    story = Story(80)
    story.begin(BACKUP, 0.0)
    assert story.fail(hidden, 3.1) == []
    assert texts(story.fail(event({"msg": "Container a can't be started."}), 3.1)) == [
        "STOPPED          Container a can't be started."
    ]
    assert story.close(3.1) == []

    story = Story(80)
    story.begin(BACKUP, 0.0)
    assert story.fail(hidden, 3.1) == []
    assert texts(story.close(3.1)) == [line("(3/8) BACKUP", "FAILED: Start it"), f"    {HIDDEN}"]


def test_an_answer_that_is_no_stands_below_what_was_found() -> None:
    story = Story(80)
    story.begin("STATUS: it", 0.0)
    story.done(ROWS)
    assert texts(story.answer(event({"msg": "shop-test is not up to date:\npending: 20250101_a."}))) == [
        "shop-test: 1 backup",
        "  20250101_a   proved",
        "STATUS           no: shop-test is not up to date:",
        "                 pending: 20250101_a.",
    ]
    assert story.close(1.0) == []
    assert story.failed == set()


def test_a_run_that_is_interrupted_tells_what_it_knows() -> None:
    story = Story(80)
    story.begin(BACKUP, 0.0)
    story.done(event({"changed": True, "actions": ["Dumped it."]}))
    assert texts(story.close(3.1, interrupted=True)) == [line("(3/8) BACKUP", "interrupted"), "    Dumped it."]
    assert Story(80).close(1.0, interrupted=True) == []


def test_differences_are_shown_below_the_phase() -> None:
    story = Story(40)
    story.begin("(4/8) MIGRATE", 0.0)
    story.differ(Code("a.sql", "SELECT 1;"))
    story.differ("--- a\n+++ b\n@@ -1 +1 @@\n-old\n+" + "new " * 20)
    story.done(event())
    [_head, code, *lines] = story.close(3.1)
    assert code == Code("a.sql", "SELECT 1;")
    assert texts(lines) == ["--- a", "+++ b", "@@ -1 +1 @@", "-old", "+" + "new " * 20]
    assert [style for each in lines if not isinstance(each, Code) for _text, style in each] == [
        "red", "green", "cyan", "red", "green",
    ]  # fmt: skip


def test_what_runs_is_one_line() -> None:
    story = Story(80)
    assert story.running(1.0, 40) == f"{'':<15}  0 s"
    story.begin(BACKUP, 1.0)
    story.task = "Take a backup and prove it by a restore"
    assert story.running(13.4, 76) == "(3/8) BACKUP   Take a backup and prove it by a restore  12 s"
    assert story.running(13.4, 30) == "(3/8) BACKUP   Take a ba  12 s"


def test_without_a_play_nothing_breaks() -> None:
    story = Story()
    story.done(event(TAKEN))
    story.warn("db", "word")
    story.differ("-a")
    assert len(story.close(1.0)) == 4


def test_the_recap_has_the_form_of_ansibles() -> None:
    counts = {"ok": 61, "changed": 0, "failures": 0, "unreachable": 0, "skipped": 9, "rescued": 0, "ignored": 0}
    assert plain(recap("local", counts)) == "local: ok=61 changed=0 failed=0"
    assert plain(recap("db", {**counts, "unreachable": 1, "ignored": 2})) == (
        "db: ok=61 changed=0 failed=0 unreachable=1 ignored=2"
    )


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("slipway.deploy.backend : Build | Build the image", "Build the image"),
        ("Phase | migrate", "migrate"),
        ("Seed", "Seed"),
    ],
)
def test_a_tasks_name_is_short(name: str, said: str) -> None:
    assert short(name) == said
