# SPDX-License-Identifier: GPL-3.0-or-later
"""What a container that is tried may do, and where a process is led."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._release.one_off import Container
from ansible_collections.slipway.deploy.plugins.module_utils._release.trial import (
    Place,
    Trial,
    Trials,
    confined,
    harmless,
    instead,
)


def test_files_are_for_reading_only_and_there_is_no_network() -> None:
    options = [
        "--network=shop", "--memory=1", "--volume=/a:/b", "--volume=files:/c:z", "--volume=/d:/e:ro", "--read-only",
    ]  # fmt: skip
    assert harmless(options) == [
        "--memory=1", "--volume=/a:/b:ro", "--volume=files:/c:z,ro", "--volume=/d:/e:ro", "--read-only",
    ]  # fmt: skip


def test_a_file_is_in_the_place_of_another_whatever_was_there() -> None:
    options = ["--memory=1", "--volume=/a:/etc/ca.pem:ro", "--volume=/b:/etc:ro", "--volume=/c:/etc/ca.pem.old"]
    assert instead(options, "/new", "/etc/ca.pem") == [
        "--memory=1", "--volume=/b:/etc:ro", "--volume=/c:/etc/ca.pem.old", "--volume=/new:/etc/ca.pem:ro",
    ]  # fmt: skip


def test_a_new_release_is_confined_as_those_that_serve() -> None:
    assert confined("1G", 1.5, 10, ["a:/b"]) == [
        "--memory=1G", "--cpus=1.5", "--pids-limit=10", "--cap-drop=ALL", "--security-opt=no-new-privileges",
        "--read-only", "--tmpfs=/tmp", "--volume=a:/b",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("place", "listening"),
    [
        (Place("/run/x"), "/run/x/.s.PGSQL.5432"),
        (Place("/run/x", "a", 5433), "/run/x/.s.PGSQL.5433"),
        (Place("", "a", 1), ("a", 1)),
    ],
)
def test_where_a_database_is(place: Place, listening: object) -> None:
    assert place.listening == listening


def test_what_no_way_leads_to_is_told_before_anything_is_started(tmp_path: Path) -> None:
    trials = Trials(str(tmp_path / "none"), "shop", Place("/run/x"))
    like = Container("", "image", "one", {})
    with pytest.raises(SlipwayError, match="its database is reached at /run/postgresql, which no container has"):
        trials.in_container("serving", like, 8000, "copy", Place("/run/postgresql"), "nginx")
    assert list(tmp_path.iterdir()) == []


def test_what_was_started_is_known_to_the_next_call(tmp_path: Path) -> None:
    first = Trials.of(str(tmp_path), "shop", Place("/run/x"))
    Path(first.directory).mkdir(mode=0o700)
    first.trials = {"serving": Trial("serving", "copy", container="c", network="n", http=("10.0.0.1", 8000))}
    first.notes = {"before": []}
    first.save()
    again = Trials.of(str(tmp_path), "shop", Place("/run/x"))
    assert again.trials["serving"].container == "c"
    assert again.notes == {"before": []}
    again.trials = {}
    assert not again.clean(containers=False)
    assert not Path(first.directory).exists()
