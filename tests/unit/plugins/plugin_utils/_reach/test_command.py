# SPDX-License-Identifier: GPL-3.0-or-later
"""A command is what was typed, though Ansible ends a value at its first blank."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.parsing.splitter import parse_kv
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.plugin_utils._reach.command import words


def typed(*extra: str) -> list[str]:
    """As ansible-playbook reads -e."""
    values: dict[str, Any] = {}
    for text in extra:
        values.update(parse_kv(text))
    return words(values.get("command", ""), "command", extra)


@pytest.mark.parametrize(
    ("extra", "found"),
    [
        (["command=ls"], ["ls"]),
        (["command=python -m shop.seed --all"], ["python", "-m", "shop.seed", "--all"]),
        (["command=sh -c 'ls | wc -l'"], ["sh", "-c", "ls | wc -l"]),
        (["command='python -m shop.seed'"], ["python", "-m", "shop.seed"]),
        (["command='env A=1 ls'"], ["env", "A=1", "ls"]),
        (["command=echo it\\'s"], ["echo", "it's"]),
        (["lines=3", "command=ls -l", "since=1h"], ["ls", "-l"]),
        (["command=ls -l", "command=pwd"], ["pwd"]),
    ],
)
def test_the_words_of_a_command(extra: list[str], found: list[str]) -> None:
    assert typed(*extra) == found


def test_a_list_is_taken_as_it_is() -> None:
    assert words(["echo", "a b", 3], "command", ['{"command": ["echo", "a b", 3]}']) == ["echo", "a b", "3"]


@pytest.mark.parametrize("extra", [[], ["command="], ["command=''"]])
def test_no_command(extra: list[str]) -> None:
    with pytest.raises(SlipwayError) as caught:
        typed(*extra)
    assert str(caught.value) == 'There is no command to run: name one, as in -e command="ls -l".'


def test_a_word_that_ansible_takes_for_a_variable() -> None:
    with pytest.raises(SlipwayError) as caught:
        typed("command=env state_dir=/tmp ls")
    assert str(caught.value) == (
        "The word state_dir=... of the command would be a variable of its own: quote the command once more, as in "
        "-e command=\"'env A=1 ls'\"."
    )


def test_a_quote_that_does_not_end() -> None:
    with pytest.raises(
        SlipwayError, match=r"^The command \"it's\" can't be divided into words: No closing quotation; "
    ):
        words("it's", "command", [])
