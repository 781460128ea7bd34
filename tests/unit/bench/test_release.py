# SPDX-License-Identifier: GPL-3.0-or-later
"""How the trial of releases under load counts, and what it draws."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from release import Switch, Trial, in_flight, overlap, plot, rates, silence, step, wrong
from support.release import Asked, Load

# From a to b, told at 12, then from b to c, on two hosts, told at 22.
SWITCHES = [Switch("b", 10, [11], 12, 0.1, 9), Switch("c", 20, [21, 21.5], 22, 0.1, 9)]
SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize(
    ("began", "ended", "right"),
    [
        (1, 2, "a"),
        (9, 11, "ab"),  # under way when the switch began
        (10.5, 11.5, "ab"),  # not told yet
        (12, 13, "b"),
        (19, 20.5, "bc"),
        (9, 20.5, "abc"),
        (22, 23, "c"),
    ],
)
def test_which_releases_may_answer(began: float, ended: float, right: str) -> None:
    answers = [Asked(began, ended, each) for each in ("a", "b", "c", "")]
    assert {each.release for each in answers if not wrong([each], "a", SWITCHES)} == set(right)
    assert wrong(answers, "a", SWITCHES) == 4 - len(right)


def test_a_failed_request_is_no_wrong_answer() -> None:
    assert wrong([Asked(1, 2, "", "status 503")], "a", SWITCHES) == 0


def test_what_is_in_flight_at_a_switch_is_told_of_the_one_with_the_fewest() -> None:
    asked = [Asked(10, 12), Asked(10.9, 12.9), Asked(20, 22), Asked(20.1, 22.1), Asked(21.1, 23.1)]
    assert in_flight(asked, SWITCHES) == 2
    assert in_flight(asked[1:3], SWITCHES) == 1
    assert in_flight([*asked, Asked(19, 21.2)], SWITCHES) == 2


def test_how_long_both_releases_answered() -> None:
    asked = [Asked(1, 2, "a"), Asked(11.25, 11.5, "a"), Asked(11, 11.1, "b"), Asked(13, 14, "b"), Asked(21, 22, "c")]
    assert overlap(asked, "a", SWITCHES) == pytest.approx(0.15)


def test_the_longest_time_without_a_good_answer() -> None:
    assert silence([Asked(1, 2), Asked(6, 6.5), Asked(3, 4, "", "status 503")]) == 4.5


def test_what_ended_in_each_second() -> None:
    assert rates([Asked(0, 0.5), Asked(0, 0.9), Asked(0, 2.1), Asked(0, 9)], 0, 3.5) == [2, 0, 1]


@pytest.mark.parametrize(("most", "expected"), [(1, 1), (7, 2), (25, 5), (250, 50), (400, 100)])
def test_the_marks_of_an_axis(most: int, expected: int) -> None:
    assert step(most) == expected


def test_the_plot_has_a_panel_for_each_trial_and_a_line_for_each_switch() -> None:
    load = Load([Asked(each / 10, each / 10, "a", "status 503" * (each > 150)) for each in range(300)])
    drawn = ElementTree.fromstring(plot([Trial("one", "a", load, Load(), SWITCHES), Trial("two", "a", load, Load())]))
    assert [text.text for text in drawn.findall(f"{SVG}text[@class='title']")] == ["one", "two"]
    assert len(drawn.findall(f"{SVG}path[@class='switch']")) == 3
    assert len(drawn.findall(f"{SVG}polyline")) == 4
