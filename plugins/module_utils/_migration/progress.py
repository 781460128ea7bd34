# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a migration that can't run in one transaction has come, kept in its unfinished row of the history.

To Prisma such a row is a failed migration, at which it stops. Slipway goes on after the last finished statement.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass

from ansible_collections.slipway.deploy.plugins.module_utils._migration.model import Script

_TEXT = (
    "Slipway has finished {done} of {total} statements of this file and goes on from there when it runs again. {json}"
)
_JSON = re.compile(_TEXT.replace(".", r"\.").format(done=r"\d+", total=r"\d+", json=r"(\{.*\})"), re.DOTALL)


@dataclass(frozen=True)
class Progress:
    """``done`` statements are finished; ``digest`` is the SHA-256 of the file up to their end.

    ``running``: the next one, which no transaction can undo, was started. ``known``: the indexes that were there
    before, by name, because a restored database has other numbers.
    ``error``: how the last attempt failed.
    """

    done: int
    digest: str
    running: bool = False
    known: tuple[str, ...] = ()
    error: str = ""

    @classmethod
    def of(cls, script: Script, done: int, running: bool = False, known: tuple[str, ...] = ()) -> Progress:
        """The progress after ``done`` statements of a script."""
        return cls(done, _digest(script, done), running, known)

    @classmethod
    def load(cls, logs: str | None) -> Progress | None:
        """Read it back from a row's logs; None when they are not Slipway's."""
        match = _JSON.fullmatch(logs or "")
        try:
            read = json.loads(match.group(1)) if match else {}
            return cls(**{**read, "known": tuple(read["known"])})
        except (ValueError, KeyError, TypeError):
            return None

    def dump(self, total: int) -> str:
        """The logs of a row with this progress."""
        return _TEXT.format(done=self.done, total=total, json=json.dumps(asdict(self)))

    def fits(self, script: Script) -> bool:
        """Whether the statements that are done stand unchanged at the script's beginning."""
        return self.done <= len(script.statements) and self.digest == _digest(script, self.done)


def _digest(script: Script, done: int) -> str:
    end = script.statements[done - 1].end if done else 0
    return hashlib.sha256(script.text[:end].replace("\r\n", "\n").encode()).hexdigest()
