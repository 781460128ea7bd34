# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests go to backends that have answered, and to none that is out of use; else the site stays as it was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.proxy import Backend, Proxy, backend, proxy

pytestmark = pytest.mark.once
Backends = dict[str, Backend]


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[Proxy]:
    with proxy(tmp_path) as found:
        yield found


@pytest.fixture
def web() -> Iterator[Backends]:
    with backend() as one, backend() as two:
        yield {"web1": one, "web2": two}


def site(nginx: Proxy) -> str:
    return (nginx.file.parent / "sites" / "shop.conf").read_text()


def test_a_backend_goes_out_of_use_and_comes_back(nginx: Proxy, web: Backends) -> None:
    before = nginx.site(web)
    assert before["changed"]
    whole = site(nginx)
    for check in (True, False):
        out = nginx.site(web, state="out", backend="web1", check=check)
        assert (out["changed"], out["actions"]) == (True, ["nginx leads requests no longer to web1."])
        assert ("down; # web1" in nginx.served) is not check
    assert nginx.site(web, state="out", backend="web1")["changed"] is False
    web["web1"].said = "one"
    assert nginx.site(web, state="in", backend="web1")["msg"].startswith(
        "Backend web1 gets no requests from here: container new answers with X-Release 'one' instead of 'two'. See "
        "that this host is let in there"
    )
    assert "down; # web1" in nginx.served
    web["web1"].said = "two"
    back = nginx.site(web, state="in", backend="web1")
    assert (back["changed"], back["actions"]) == (True, ["nginx leads requests again to web1."])
    assert (site(nginx), web["web1"].asked[-1]) == (whole, "shop.example.com")
    assert nginx.site(web, state="in", backend="web1")["changed"] is False


def test_the_last_one_stays_in_use(nginx: Proxy, web: Backends) -> None:
    nginx.site(web)
    assert nginx.site(web, state="out", backend="web1")["changed"]
    last = nginx.site(web, state="out", backend="web2")
    assert (last["changed"], last["actions"]) == (False, [])
    assert "down; # web2" not in nginx.served


def test_nothing_is_taken_out_of_what_is_not_there_yet(nginx: Proxy, web: Backends) -> None:
    assert nginx.site(web, state="out", backend="web1")["changed"] is False
    nginx.site(web)
    nginx.container("nginx", "exited")
    assert nginx.site(web, state="out", backend="web1")["changed"] is False


def test_one_that_an_earlier_run_left_out_comes_back_with_the_next(nginx: Proxy, web: Backends) -> None:
    nginx.site(web)
    nginx.site(web, state="out", backend="web1")
    assert nginx.site(web)["actions"] == [f"Wrote {nginx.file.parent}/sites/shop.conf.", "Reloaded nginx."]
    assert "down" not in nginx.served


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["broken"],
            "so what was there before was put back and still serves; correct the configuration:\nnginx: [emerg]",
        ),
        (["down"], "Through nginx the site does not answer: "),
    ],
)
def test_what_nginx_or_the_site_refuses_is_taken_back(nginx: Proxy, web: Backends, words: list[str], told: str) -> None:
    nginx.site(web)
    before = site(nginx)
    assert told in nginx.site(web, *words)["msg"]
    assert (site(nginx), nginx.served) == (before, f"old one{before}")


def test_a_refusal_is_told_when_the_site_of_before_answers_again(nginx: Proxy, web: Backends) -> None:
    nginx.site(web)
    before = site(nginx)
    (nginx.home / "late").touch()
    assert "Through nginx the site does not answer: " in nginx.site(web, "down")["msg"]
    assert nginx.served == f"old one{before}"


def test_a_first_site_that_is_refused_is_gone_again(nginx: Proxy, web: Backends) -> None:
    assert "nginx does not accept" in nginx.site(web, "broken")["msg"]
    assert not (nginx.file.parent / "sites" / "shop.conf").exists()
    assert nginx.file.read_text() == "old one\n"


def test_a_backend_that_is_not_reached_gets_no_requests(nginx: Proxy, web: Backends) -> None:
    said = nginx.site({**web, "web3": Backend(9)})["msg"]
    assert said.startswith("Backend web3 gets no requests from here: http://127.0.0.1:9/ready gives no answer (")
    assert nginx.served == "old one\n"


def test_an_nginx_that_does_not_start_is_told_with_its_log(nginx: Proxy, web: Backends) -> None:
    nginx.container("nginx", "restarting")
    found = nginx.site(web)
    assert (found["changed"], found["pending"]) == (True, True)
    said = nginx.site(web, started=True)["msg"]
    assert said.startswith("nginx was started and does not answer: correct what its log, whose end follows, tells.\n")
    assert "nothing at postgresql://app:********@db" in said


def test_the_sites_of_others_stay(nginx: Proxy, web: Backends) -> None:
    nginx.site(web)
    other = nginx.file.parent / "sites" / "other.conf"
    other.write_text("\nother")
    for check in (True, False):
        gone = nginx.site(web, state="absent", check=check)
        assert (gone["changed"], gone["others"]) == (True, 1)
    assert nginx.served == "old one\nother"
    assert nginx.site(web, state="absent")["changed"] is False
    other.unlink()
    assert nginx.site(web, state="absent")["others"] == 0


def test_an_nginx_that_was_not_told_before_the_run_died_is_told_by_the_next(nginx: Proxy, web: Backends) -> None:
    nginx.site(web)
    unfinished = nginx.file.parent / "shop.unfinished"
    assert not unfinished.exists()
    unfinished.touch()
    for check in (True, False):
        assert nginx.site(web, check=check)["actions"] == ["Reloaded nginx."]
    assert not unfinished.exists()
    assert nginx.site(web)["changed"] is False
    assert "correct the configuration" in nginx.site(web, "broken")["msg"]
    assert not unfinished.exists()
    unfinished.touch()
    assert nginx.site(web, state="in", backend="web1")["changed"]
    assert not unfinished.exists()


def test_its_certificate_goes_with_it(nginx: Proxy, web: Backends) -> None:
    nginx.site(web)
    certificate = nginx.home / "shop.pem"
    certificate.touch()
    for check in (True, False):
        gone = nginx.site(web, state="absent", certificate=str(certificate), check=check)
        assert gone["actions"] == [f"Removed {nginx.file.parent}/sites/shop.conf.", f"Removed {certificate}."]
    assert not certificate.exists()
    assert nginx.site(web, state="absent", certificate=str(certificate))["changed"] is False
