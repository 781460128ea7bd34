# SPDX-License-Identifier: GPL-3.0-or-later
"""A command as an operator typed it, in words."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from ansible.parsing.splitter import parse_kv
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError


def words(given: Any, name: str, extra: Sequence[str]) -> list[str]:
    """The words of a command: of a list as they are, of a text as a shell divides it.

    ``given`` is the variable's value, of which Ansible drops what follows a blank in ``-e name=a b``; ``extra`` are the
    texts of all -e, from which that is read. Raises SlipwayError for an empty command, for a quote that does not end,
    and where a word of it was taken for another variable.
    """
    if isinstance(given, (list, tuple)):
        found = [str(word) for word in given]
    else:
        text = _typed(str(given or ""), name, extra)
        try:
            found = shlex.split(text)
        except ValueError as error:
            raise SlipwayError(
                f"The command {text!r} can't be divided into words: {error}; correct the quotes."
            ) from error
    if not found:
        raise SlipwayError(f"""There is no command to run: name one, as in -e {name}="ls -l".""")
    return found


def _typed(value: str, name: str, extra: Sequence[str]) -> str:
    """The whole of a value that was given as ``name=value``; ``value`` where that is all."""
    for text in reversed(extra):
        if text.startswith(f"{name}="):
            parsed = parse_kv(text)
            others = [key for key in parsed if key not in (name, "_raw_params")]
            if others:
                raise SlipwayError(
                    f"The word {others[0]}=... of the command would be a variable of its own: quote the command once "
                    f"""more, as in -e {name}="'env A=1 ls'"."""
                )
            return text.partition("=")[2] if "_raw_params" in parsed else value
    return value
