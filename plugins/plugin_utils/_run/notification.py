# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells those whom a run concerns how it ended, at addresses of apprise; a receiver that is dead costs a warning."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from io import StringIO
from typing import Literal

from ansible_collections.slipway.deploy.plugins.module_utils._host.masking import masked

Kind = Literal["success", "failure"]


def tell(receivers: Sequence[str], title: str, body: str, kind: Kind) -> list[str]:
    """Tell each receiver; why one was not told, a sentence each, without what its address keeps secret.

    Each is waited for some seconds, as long as apprise does.
    """
    if not receivers:
        return []
    import apprise  # takes a third of a second

    logger, said = logging.getLogger("apprise"), StringIO()
    logger.propagate = False  # what it says goes into the sentence
    handler = logging.StreamHandler(said)
    logger.addHandler(handler)
    unheard = []
    for number, address in enumerate(receivers, 1):
        service = apprise.Apprise.instantiate(address) if address else None
        if service and service.notify(body=body, title=title, notify_type=apprise.NotifyType(kind)):
            continue
        name = f"{number} ({address.partition('://')[0]})" if "://" in address else str(number)
        reason = masked(said.getvalue().rstrip(".\n").rpartition("\n")[2], secrets_of(address)) if service else _UNKNOWN
        unheard.append(f"Receiver {name} was not told: {reason}; see that its address is right and that it answers.")
    logger.removeHandler(handler)
    return unheard


_UNKNOWN = "apprise takes no such address"


def secrets_of(address: str) -> frozenset[str]:
    """The parts of an address that may be secret: all but its scheme and a number of the network."""
    parts = re.split(r"[/:@?&=#]+", address.partition("://")[2])
    return frozenset(part for part in parts if not re.fullmatch(r"[\d.]+|localhost", part))
