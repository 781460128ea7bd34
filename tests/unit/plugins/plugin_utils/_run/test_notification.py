# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is told, by a real receiver; and that one who is dead costs a warning, without what is secret of his address."""

from __future__ import annotations

import pytest
from ansible_collections.slipway.deploy.plugins.plugin_utils._run.notification import tell
from support.receiver import receiving


def test_all_are_told_also_beside_one_who_is_dead(capfd: pytest.CaptureFixture[str]) -> None:
    advice = "see that its address is right and that it answers."
    with receiving() as (place, told):
        receivers = [
            "json://127.0.0.1:9/s3cret-hook",
            f"json://{place}/one",
            f"json://{place}/refuse/s3cret-hook",
            "nonsense://s3cret-hook",
            "slack://s3cret-hook",
            "",
            f"json://{place}/two",
        ]
        unheard = tell(receivers, "shop/prod: deploy failed", "No.\nReally.", "failure")
    assert unheard == [
        f"Receiver 1 (json) was not told: A Connection error occurred sending JSON notification to 127.0.0.1; {advice}",
        f"Receiver 3 (json) was not told: Failed to send JSON POST notification: Page not found., error=404; {advice}",
        f"Receiver 4 (nonsense) was not told: apprise takes no such address; {advice}",
        f"Receiver 5 (slack) was not told: apprise takes no such address; {advice}",
        f"Receiver 6 was not told: apprise takes no such address; {advice}",
    ]
    assert [each["path"] for each in told] == ["/one", "/refuse/s3cret-hook", "/two"]
    assert (told[0]["title"], told[0]["message"], told[0]["type"]) == (
        "shop/prod: deploy failed", "No.\nReally.", "failure",
    )  # fmt: skip
    said = capfd.readouterr()
    assert said.out + said.err == ""
    assert tell([], "a", "b", "success") == []
