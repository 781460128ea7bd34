# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases under load: deploys one after the other, beside a container that is recreated in its place.

    python bench/release.py one|three [ROUNDS]

Needs a Docker engine. Deploys the smallest application, then ten further releases of it, while requests come by new and
by kept connections and others of 2 s are in flight all the time; then changes the release ten times by
`docker rm --force` and `docker run` behind the same nginx. With `one` to the environment `test` on this machine; with
`three` over SSH to the hosts of molecule's scenario hosts-three, where two backends are behind one entry, by HTTPS.
Writes the section "Releases under load" of ``docs/benchmarks.md``, or the one "… on several hosts", and its plot.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median

from page import PAGE, ROOT, write_section

sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "collections")]

from rich.console import Console
from rich.table import Table
from support.environment import Containers, Environment, images, shared_host
from support.release import APP, Asked, Load, docker, get, load

BED = ROOT / "molecule" / "shared" / "bed"
ROUNDS = 10
RATE = 200  # requests a second that are started, if the machine can
THREADS = 32  # that begin them, half by kept connections
SLOW = 44  # requests in flight of so many seconds each, one after the other
SECONDS = 2
To = int | Callable[[], http.client.HTTPConnection]  # see support.release.load
PAUSE = 5  # seconds of load before the first switch, between two that have no run between them, and after the last


@dataclass(frozen=True)
class Switch:
    """From one release to another; moments in seconds since the epoch."""

    release: str
    began: float
    at: Sequence[float]  # when requests went to the new one instead of the old one, for each host
    told: float  # when it was said that the new one serves, on all hosts
    seconds: float  # the switch alone, of the host where it took longest
    deploy: float  # all that changed the release


@dataclass
class Trial:
    """One way to change releases, under load."""

    title: str
    first: str
    fast: Load = field(default_factory=Load)
    slow: Load = field(default_factory=Load)
    switches: list[Switch] = field(default_factory=list)

    @property
    def asked(self) -> list[Asked]:
        return [*self.fast.asked, *self.slow.asked]

    @property
    def span(self) -> tuple[float, float]:
        """From the first request to the end of the last one that is not slow."""
        return min(each.began for each in self.asked), max(each.ended for each in self.fast.asked)


class Releases:
    """Part of an environment: the smallest application, whose releases differ in a file."""

    def prepare(self) -> None:
        self.variables = self.directory / "variables.json"
        self.plays = self.directory / "plays.json"
        self.application = self.directory / "smallest"
        shutil.copytree(APP, self.application, ignore=shutil.ignore_patterns("__pycache__"))
        self.change("release-0")

    def change(self, release: str) -> None:
        """Make the source that of another release."""
        (self.application / "src" / "release").write_text(release)
        wanted = {
            "app_release": release, "app_dockerfile": "Dockerfile", "app_ca_bundle": "", "app_ready_path": "/healthz",
            "app_env": {"DATABASE_URL": "{{ database_url }}", "RELEASE": "{{ app_release }}"}, "app_secrets": [],
            "app_frontend": "", "app_schema": {}, "app_seed_command": [], "app_probe_paths": [], "app_rate_limits": [],
        }  # fmt: skip
        self.variables.write_text(json.dumps(wanted))

    def deployed(self, release: str) -> Switch:
        """Deploy a release as an operator does."""
        self.change(release)
        began = time.monotonic()
        recorded = {"ANSIBLE_CALLBACK_PLUGINS": str(ROOT / "bench" / "callbacks"), "TASKS_BY_PHASE": str(self.plays)}
        self.play("deploy.yml", environ=recorded).succeeded()
        seconds = time.monotonic() - began
        found = [each for play in json.loads(self.plays.read_text()) for each in play.get("switches", [])]
        assert len(found) == self.backends
        at = [each["told"] - sum(each.get(part, 0) for part in ("switch", "drain", "prune")) for each in found]
        longest = max(each["switch"] for each in found)
        return Switch(release, found[0]["began"], at, found[-1]["told"], longest, seconds)


class One(Releases, Containers):
    """The environment `test` on this machine."""

    name = "slipway-bench"
    title = "Releases under load"
    where = "to the environment `test`, on one host"
    plot = PAGE.with_name("benchmarks-release.svg")
    backends = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        self.prepare()

    @property
    def to(self) -> int:
        return self.port

    @property
    def told(self) -> list[str]:
        return [*super().told, "-e", f"@{self.variables}"]

    def recreated(self, release: str) -> Switch:
        """Build the image, then remove the container and run another of its name, and wait until that answers."""
        time.sleep(PAUSE)
        self.change(release)
        started = time.time()
        image, base = f"{self.name}-recreated:{release}", os.environ["SLIPWAY_PYTHON_IMAGE"]
        docker("build", "--quiet", f"--build-arg=BASE_IMAGE={base}", f"--tag={image}", str(self.application))
        began, told = replaced(docker, image, release, lambda: get(self.port)[1])
        return Switch(release, began, [began], told, told - began, told - started)


class Three(Releases, Environment):
    """Hosts behind SSH: a database, two backends, and the one in front of them."""

    title = "Releases under load, on several hosts"
    where = "over SSH to two backends behind one entry, with a database on a host of its own: four hosts on one machine"
    plot = PAGE.with_name("benchmarks-release-hosts.svg")
    backends = 2
    hosts = ("db", "web1", "web2", "front")
    domain = "shop.example.com"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.prepare()

    @property
    def told(self) -> list[str]:
        own = {
            "app_name": "slipway-bench", "app_migrations": self.migrations, "app_source": self.application,
            "secrets_file": self.secrets, "app_balance": "connections", "state_dir": "/var/lib/slipway/bench",
        }  # fmt: skip
        more = [word for name, value in own.items() for word in ("-e", f"{name}={value}")]
        return ["-i", str(ROOT / "molecule" / "hosts-three" / "inventory"), *more, "-e", f"@{self.variables}"]

    def address(self, host: str) -> str:
        return (self.directory / "bed" / f"address-{host}").read_text().strip()

    @property
    def to(self) -> Callable[[], http.client.HTTPConnection]:
        return partial(HTTPS, self.domain, self.address("front"), ssl._create_unverified_context())

    def recreated(self, release: str) -> Switch:
        """Build the image once, then remove the container of each backend and run another of its name."""
        time.sleep(PAUSE)
        self.change(release)
        started = time.time()
        image, base = f"recreated:{release}", json.loads((self.directory / "bed" / "images.json").read_text())["python"]
        build = f"docker exec -i slipway-molecule-web1 docker build -q --build-arg=BASE_IMAGE={base} -t {image} -"
        give, take = (
            f"docker exec slipway-molecule-web1 docker save {image}",
            "docker exec -i slipway-molecule-web2 docker load",
        )
        shell(f"tar -C {self.application} -c . | {build}")
        shell(f"{give} | {take}")
        found = [
            replaced(
                partial(docker, "exec", f"slipway-molecule-{host}", "docker"), image, release, partial(self.says, host)
            )
            for host in ("web1", "web2")
        ]
        longest = max(told - began for began, told in found)
        told = found[-1][1]
        return Switch(release, found[0][0], [began for began, _told in found], told, longest, told - started)

    def says(self, host: str) -> str:
        """The release that a backend's own nginx answers with."""
        asked = http.client.HTTPConnection(self.address(host), 8080, timeout=10)
        asked.request("GET", "/healthz", headers={"Host": self.domain})
        return asked.getresponse().headers.get("X-Release", "")


class HTTPS(http.client.HTTPSConnection):
    """To a site by its name, at an address."""

    def __init__(self, site: str, address: str, context: ssl.SSLContext) -> None:
        super().__init__(site, timeout=15, context=context)
        self.address, self.tls = address, context

    def connect(self) -> None:
        raw = socket.create_connection((self.address, 443), timeout=15)
        self.sock = self.tls.wrap_socket(raw, server_hostname=self.host)


def shell(line: str) -> None:
    subprocess.run(["bash", "-euo", "pipefail", "-c", line], check=True, stdout=subprocess.DEVNULL)


def replaced(engine: Callable[..., str], image: str, release: str, says: Callable[[], str]) -> tuple[float, float]:
    """Remove the container of an engine's release and run one of this image in its name; when, and when it answered."""
    [name] = engine("ps", "--filter=name=^slipway-bench-.*-backend-", "--format={{.Names}}").split()
    about = json.loads(engine("inspect", name))[0]
    labels = [f"--label={key}={value}" for key, value in about["Config"]["Labels"].items()]
    [network] = about["NetworkSettings"]["Networks"]
    began = time.time()
    engine("rm", "--force", name)
    engine("run", "--detach", f"--name={name}", f"--network={network}", f"--env=RELEASE={release}", *labels, image)
    while says() != release:
        assert time.time() < began + 60, engine("logs", name)
        time.sleep(0.02)
    return began, time.time()


@contextmanager
def three_hosts() -> Iterator[Three]:
    """The hosts, deployed to, for a ``with`` block."""
    found = Three(Path(tempfile.mkdtemp(prefix="slipway-bench-", dir="/tmp")))
    os.environ |= {"MOLECULE_EPHEMERAL_DIRECTORY": str(found.directory), "MOLECULE_PROJECT_DIRECTORY": str(ROOT)}
    os.environ |= images()
    try:
        subprocess.run([BED, "up", found.directory / "bed", *Three.hosts], check=True, stdout=subprocess.DEVNULL)
        found.deploy().succeeded()
        yield found
    finally:
        subprocess.run([BED, "down", found.directory / "bed", *Three.hosts], check=True)
        shutil.rmtree(found.directory)


@contextmanager
def loaded(trial: Trial, to: To) -> Iterator[Trial]:
    """Have requests come in for as long as the block lasts, and for some seconds more before and after it."""
    with (
        load(to, THREADS, period=THREADS / RATE) as trial.fast,
        load(to, SLOW, f"/slow?seconds={SECONDS}", SECONDS) as trial.slow,
    ):
        time.sleep(PAUSE)
        yield trial
        time.sleep(PAUSE)


def measure(to: To, title: str, first: str, change: Callable[[str], Switch], releases: Iterable[str]) -> Trial:
    with loaded(Trial(title, first), to) as trial:
        for release in releases:
            trial.switches.append(change(release))
            print(title, trial.switches[-1], flush=True)
    return trial


def wrong(asked: Iterable[Asked], first: str, switches: Sequence[Switch]) -> int:
    """Answers of a release that did not serve, by what was told, at any time between the request and its answer."""
    releases = [first, *(switch.release for switch in switches)]

    def right(each: Asked) -> bool:
        oldest = sum(switch.told <= each.began for switch in switches)
        newest = sum(switch.began <= each.ended for switch in switches)
        return each.release in releases[oldest : newest + 1]

    return sum(not each.failure and not right(each) for each in asked)


def in_flight(asked: Sequence[Asked], switches: Iterable[Switch]) -> int:
    """How many requests were in flight at the switch where they were the fewest."""
    moments = [at for switch in switches for at in switch.at]
    return min(sum(each.began <= at <= each.ended for each in asked) for at in moments)


def overlap(asked: Iterable[Asked], first: str, switches: Iterable[Switch]) -> float:
    """Seconds for which requests still got to the old release when one had been answered by the new one, at most."""
    times: dict[str, list[Asked]] = {}
    for each in asked:
        if not each.failure:
            times.setdefault(each.release, []).append(each)
    releases = [first, *(switch.release for switch in switches)]
    return max(
        max(each.began for each in times[old]) - min(each.ended for each in times[new])
        for old, new in pairwise(releases)
    )


def silence(asked: Iterable[Asked]) -> float:
    """The longest time, in seconds, in which no request was answered well."""
    ended = sorted(each.ended for each in asked if not each.failure)
    return max(later - before for before, later in pairwise(ended))


def rates(asked: Iterable[Asked], start: float, end: float) -> list[int]:
    """How many requests ended in each whole second from the start to the end."""
    found = Counter(int(each.ended - start) for each in asked)
    return [found[second] for second in range(int(end - start))]


def rows(trial: Trial) -> dict[str, str]:
    """The figures of a trial by what they say."""
    fast, switches = trial.fast.asked, trial.switches
    start, end = trial.span
    return {
        "requests": f"{len(trial.asked):,}",
        "a second, without the slow ones": f"{len(fast) / (end - start):.0f}, at least {min(rates(fast, start, end))}",
        f"of {SECONDS} s in flight at each switch": f"at least {in_flight(trial.slow.asked, switches)}",
        "failed": f"{sum(bool(each.failure) for each in trial.asked):,}",
        "answered by a wrong release": str(wrong(trial.asked, trial.first, switches)),
        "old release still asked after the new one's first answer": (
            f"{max(0, overlap(fast, trial.first, switches)):.2f} s at most"
        ),
        "longest time without a good answer": f"{silence(fast):.2f} s",
        "kept connections found closed and opened anew": str(len(trial.fast.reopened) + len(trial.slow.reopened)),
        "switch": spread([switch.seconds for switch in switches]),
        "deploy": spread([switch.deploy for switch in switches]),
    }


def spread(seconds: Sequence[float]) -> str:
    return f"{median(seconds):.2f} s, at most {max(seconds):.2f} s"


STYLE = """
text { font: 12px system-ui, sans-serif; fill: #333 } .title { font-weight: 600; font-size: 14px }
.axis, .switch { stroke: #999 } .switch { stroke-dasharray: 3 3 } polyline { fill: none; stroke-width: 1.5 }
.answered { stroke: #2563eb } .failed { stroke: #dc2626 } text.answered { fill: #2563eb; stroke: none }
text.failed { fill: #dc2626; stroke: none }
@media (prefers-color-scheme: dark) {
  text { fill: #ddd } .answered { stroke: #60a5fa } .failed { stroke: #f87171 }
  text.answered { fill: #60a5fa } text.failed { fill: #f87171 }
}
"""
WIDTH, HEIGHT, LEFT, GAP = 900, 180, 50, 60  # of a panel, in pixels, and around it


def plot(trials: Sequence[Trial]) -> str:
    """An SVG with a panel for each trial: requests answered and failed in each second, and a line at each switch."""
    spans = [trial.span for trial in trials]
    series = [
        [rates([each for each in trial.asked if bool(each.failure) == failed], *trial.span) for failed in (False, True)]
        for trial in trials
    ]
    most = max(max(values) for both in series for values in both)
    parts = []
    for number, (trial, both, (start, end)) in enumerate(zip(trials, series, spans, strict=True)):
        bottom = (number + 1) * (HEIGHT + GAP) - GAP / 2
        across = WIDTH / (end - start)
        up = HEIGHT / most
        parts.append(f'<text class="title" x="{LEFT}" y="{bottom - HEIGHT - 10:.0f}">{trial.title}</text>')
        parts.append(f'<text class="answered" x="{LEFT + WIDTH - 160}" y="{bottom - HEIGHT - 10:.0f}">answered</text>')
        parts.append(f'<text class="failed" x="{LEFT + WIDTH - 60}" y="{bottom - HEIGHT - 10:.0f}">failed</text>')
        parts.append(f'<path class="axis" fill="none" d="M{LEFT} {bottom - HEIGHT:.0f}V{bottom:.0f}h{WIDTH}"/>')
        for value in range(0, most + 1, step(most)):
            y = bottom - value * up + 4
            parts.append(f'<text text-anchor="end" x="{LEFT - 6}" y="{y:.0f}">{value}</text>')
        for second in range(0, int(end - start) + 1, step(int(end - start))):
            x = LEFT + second * across
            parts.append(f'<text text-anchor="middle" x="{x:.0f}" y="{bottom + 16:.0f}">{second} s</text>')
        for switch in trial.switches:
            for at in switch.at:
                x = LEFT + (at - start) * across
                parts.append(f'<path class="switch" d="M{x:.1f} {bottom - HEIGHT:.0f}v{HEIGHT}"/>')
        for kind, values in zip(("answered", "failed"), both, strict=True):
            points = " ".join(f"{LEFT + (s + 0.5) * across:.1f},{bottom - v * up:.1f}" for s, v in enumerate(values))
            parts.append(f'<polyline class="{kind}" points="{points}"/>')
    height = len(trials) * (HEIGHT + GAP)
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + 20} {height}" role="img">',
        "<title>Requests a second that were answered and that failed; a dashed line at each switch</title>",
        f"<style>{STYLE}</style>", *parts, "</svg>\n",
    ])  # fmt: skip


def step(most: int) -> int:
    """The distance of round numbers of which about five reach to the most."""
    numbers = (int(digit * 10.0**power) for power in range(9) for digit in (1, 2, 5))
    return next(number for number in numbers if most <= 6 * number)


def text(site: One | Three, trials: Sequence[Trial], busy: float) -> str:
    heads = ["", *(trial.title for trial in trials)]
    columns = [rows(trial) for trial in trials]
    table = Table(*heads, title=site.title)
    lines = [[label, *(column[label] for column in columns)] for label in columns[0]]
    for line in lines:
        table.add_row(*line)
    Console().print(table)
    return "\n".join([
        f"{len(trials[0].switches)} releases one after the other {site.where} with "
        f"{os.cpu_count()} processors, which the requests' clients share. {RATE} requests a second are sent, half by "
        f"new and half by kept connections, beside {SLOW} of {SECONDS} s at any time. A deploy is a whole run, with "
        "the image's build and a proved backup; the baseline is `docker build`, `docker rm --force` and `docker run` "
        "behind the same nginx. A request fails by any status but 200 and by any error of its connection, but for a "
        "kept connection that was closed between two answers, which is opened anew. A wrong release is one that, by "
        "what the run had told, did not serve at any time between the request and its answer. The switch is the reload "
        "of nginx until the new release answers through it; in the baseline it is from the container's removal to that "
        "answer. "
        f"When it began, other work on the machine had {busy:.1f} processes running, the average of a minute.",
        "",
        "| " + " | ".join(heads) + " |",
        "|---|" + "---|" * len(trials),
        *("| " + " | ".join(line) + " |" for line in lines),
        "",
        f"![Requests a second that were answered and that failed]({site.plot.name})",
        "",
    ])  # fmt: skip


def main() -> None:
    kind, *more = sys.argv[1:]
    rounds = int(more[0]) if more else ROUNDS
    busy = os.getloadavg()[0]
    deployed = [f"release-{number}" for number in range(1, rounds + 1)]
    recreated = [f"recreated-{number}" for number in range(1, rounds + 1)]
    with {"one": partial(shared_host, One), "three": three_hosts}[kind]() as site:
        slipway = measure(site.to, "Slipway's deploy", "release-0", site.deployed, deployed)
        baseline = measure(site.to, "Recreated in place", deployed[-1], site.recreated, recreated)
    if kind == "one":
        docker(
            "image",
            "rm",
            *docker("images", f"--filter=reference={One.name}-*", "--format={{.Repository}}:{{.Tag}}").split(),
        )
    site.plot.write_text(plot([slipway, baseline]))
    write_section(site.title, text(site, [slipway, baseline], busy))


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that its hosts go, too
    main()
