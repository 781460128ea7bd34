# SPDX-License-Identifier: GPL-3.0-or-later
"""In which order two releases are asked, and what is made of their answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._release import both_releases
from ansible_collections.slipway.deploy.plugins.module_utils._release.both_releases import (
    Asking,
    Release,
    new_release,
    serving_release,
)
from ansible_collections.slipway.deploy.plugins.module_utils._release.probe import Answer, Request
from ansible_collections.slipway.deploy.plugins.module_utils._release.process import Process, Spec
from ansible_collections.slipway.deploy.plugins.module_utils._release.trial import Place, Trials

READY, READ, WRITE = (Request.parse(said) for said in ("/ready", "/a", "POST /b"))
SOUGHT = Place("/run/x")
SPEC = Spec(["serve", "{port}"], {"A": "b"}, "/shop")
SERVING = Release("one", 1, process=SPEC)
NEW = Release("two", 1, process=SPEC)


class Fake(Trials):
    """Trials that answer what the test says, and tell what was done."""

    def __init__(self, answer: Callable[[str, str, int], Answer]) -> None:
        super().__init__("/nowhere", "", Place())
        self.done: list[str] = []
        self.answer = answer

    def process(self, name: str, spec: Spec, port: int, database: str, sought: Place, layers: Any) -> None:
        self.done.append(f"start {name} on {database}")

    def ask(self, name: str, request: Request, word: str) -> Answer:
        said = f"{name} {request.shown}"
        self.done.append(said)
        return self.answer(name, request.shown, self.done.count(said))

    def ready(self, name: str, request: Request, seconds: float) -> Answer:
        return self.ask(name, request, "")

    def freeze(self, name: str, frozen: bool) -> None:
        self.done.append(f"{'freeze' if frozen else 'thaw'} {name}")

    def stop(self, name: str) -> None:
        self.done.append(f"stop {name}")

    def save(self) -> None:
        pass

    def log_end(self, name: str) -> str:
        return "\nit failed\n\n"


def asked(answer: Callable[[str, str, int], Answer], *requests: Request) -> tuple[Fake, Asking]:
    trials = Fake(answer)
    return trials, Asking(trials, requests, 1)


def test_the_order() -> None:
    trials, asking = asked(lambda *_: Answer(200), READY, WRITE, READ)
    asking.before(SERVING, "copy", "again", SOUGHT)
    probes = asking.after(NEW, "copy", SOUGHT)
    assert trials.done == [
        "start writing on again", "start serving on copy", "serving GET /ready", *["serving GET /a"] * 7,
        "writing GET /ready", *["writing POST /b"] * 2, "stop writing", "freeze serving",
        "start new on copy", "thaw serving", "serving GET /ready", "serving GET /a", *["serving POST /b"] * 2,
        "new GET /ready", "new GET /ready", "new GET /a", *["new POST /b"] * 2,
    ]  # fmt: skip
    assert [probe.result() for probe in probes] == [
        {"request": shown, "before": 200, "steady": True, "serving": 200, "serving_errors": [], "new": 200,
         "new_errors": []}
        for shown in ("GET /ready", "POST /b", "GET /a")
    ]  # fmt: skip


def test_what_differs_by_itself_is_not_steady() -> None:
    trials, asking = asked(lambda _name, shown, time: Answer(500 if shown != "GET /ready" and time == 2 else 200),
                           READY, READ, WRITE)  # fmt: skip
    asking.before(SERVING, "copy", "again", SOUGHT)
    assert [each["steady"] for each in trials.notes["before"]] == [True, False, False]


def test_a_limit_of_requests_says_nothing() -> None:
    trials, asking = asked(lambda _name, _shown, time: Answer(429 if time > 3 else 200), READY, READ)
    asking.before(SERVING, "copy", "", SOUGHT)
    assert all(each["steady"] for each in trials.notes["before"])


def test_of_what_is_written_twice_the_worse_answer_counts() -> None:
    def answer(name: str, shown: str, time: int) -> Answer:
        return Answer(409, ["one each"]) if (name, shown, time) == ("serving", "POST /b", 2) else Answer(200)

    _trials, asking = asked(answer, READY, WRITE)
    asking.before(SERVING, "copy", "again", SOUGHT)
    [_ready, write] = asking.after(None, "copy", SOUGHT)
    assert write.serving == Answer(409, ["one each"])
    assert write.broken_for_serving


def test_a_new_release_that_is_not_ready_is_asked_no_more() -> None:
    trials, asking = asked(lambda name, *_: Answer(0 if name == "new" else 200), READY, READ)
    asking.before(SERVING, "copy", "", SOUGHT)
    ready, read = asking.after(NEW, "copy", SOUGHT)
    assert (ready.new, read.new) == (Answer(0, log="it failed"), None)
    assert ready.broken_for_new
    assert trials.done.count("new GET /a") == 0


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer(503, ["no table a (42P01)"]), "503 (no table a (42P01))"),
        (Answer(0), "nothing (it failed)"),
    ],
)
def test_a_release_that_can_not_be_tried(answer: Answer, said: str) -> None:
    _trials, asking = asked(lambda *_: answer, READY)
    with pytest.raises(SlipwayError) as raised:
        asking.before(SERVING, "copy", "", SOUGHT)
    assert str(raised.value) == f"before any change it did not get ready on the copy: GET /ready was answered {said}"


@pytest.mark.parametrize(
    ("release", "kept", "layers"), [("one", False, []), ("two", True, ["{}/one"]), ("two", False, None)]
)
def test_what_the_process_that_serves_runs_from(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, release: str, kept: bool, layers: list[str] | None
) -> None:
    monkeypatch.setattr(both_releases, "process_of", lambda directory: (Process(1, "", 4000), SPEC))
    params = {"label": "", "directory": "/s", "serving_release": "one", "release": release, "trees": str(tmp_path)}
    if kept:
        (tmp_path / "one").mkdir()
    if layers is None:
        with pytest.raises(SlipwayError, match=f"what release one runs from was not kept in {tmp_path}/one"):
            serving_release(params)
        return
    found = serving_release(params)
    assert found == Release("one", 4000, process=SPEC, layers=[layer.format(tmp_path) for layer in layers])


def test_nothing_serves(tmp_path: Path) -> None:
    assert serving_release({"label": "", "directory": str(tmp_path)}) is None


def test_the_new_release_of_a_process() -> None:
    params = {"argv": ["serve", "{port}"], "cwd": "/shop", "release": "two", "image": ""}
    found = new_release(params, {"A": "{host}"}, SERVING)
    assert found == Release("two", 8000, process=Spec(["serve", "8000"], {"A": "127.0.0.1"}, "/shop"))
    assert new_release({**params, "release": "one"}, {}, SERVING) is None
    assert new_release({**params, "argv": []}, {}, SERVING) is None
