# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operator sees of a run: a line a phase, and a failure as the sentence that explains it."""

from __future__ import annotations

import atexit
import contextlib
import functools
import io
import os
import re
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from ansible import constants as C
from ansible import context
from ansible.executor.stats import AggregateStats
from ansible.executor.task_result import CallbackTaskResult
from ansible.plugins.callback.default import CallbackModule as Default
from ansible.utils.color import ANSIBLE_COLOR
from ansible.vars import reserved
from ansible_collections.slipway.deploy.plugins.plugin_utils._run import progress
from ansible_collections.slipway.deploy.plugins.plugin_utils._story.layout import (
    NARROW,
    WIDE,
    Code,
    Item,
    Line,
    paragraph,
    plain,
)
from ansible_collections.slipway.deploy.plugins.plugin_utils._story.telling import Event, Story, recap, short

try:
    from rich.console import Console
    from rich.live import Live
    from rich.spinner import Spinner
    from rich.text import Text
except ImportError:  # the collection is installed where rich is not: the same words, without colours and motion
    HAS_RICH = False
else:
    HAS_RICH = True

DOCUMENTATION = r"""
name: story
type: stdout
short_description: A run as a story, a line a phase, and a failure as the sentence that explains it
version_added: 0.1.0
author: The Slipway contributors
description:
  - A play is a phase, called by what its name has before the colon. It is told in one line, with its outcome, seconds,
    and what the results of its tasks say that matters. Below stand the C(actions) of what was changed, warnings, and
    what tasks have to say that are there to say something, such as M(ansible.builtin.debug).
  - A task that fails shows its name and its message, with the message's own lines, and nothing else of its result.
  - A task with the variable C(slipway_tried) is an attempt. Where it fails, what comes to its rescue says what there is
    to say.
  - A task with the variable C(slipway_answer) is the answer to what the playbook was asked. Where that is no, the run
    ends with the exit status of a failure, for a script to see, and shows none.
  - A task with the variable C(slipway_told) has only the things of its result told that are in this list.
  - On a terminal the running task is shown with its seconds, or with how far it has come where it takes long and can
    say so, and text is wrapped at the terminal's width. Elsewhere there is no motion, no line is wrapped, and how far a
    task has come is a line every ten seconds.
  - With C(-e output=json), or another format that M(slipway.deploy.show) prints, that is all there is on the standard
    output; failures are on the standard error.
  - When a run with M(slipway.deploy.foreground) has ended well, the process of C(ansible-playbook) becomes that
    command, so that the terminal, its signals, and the exit status are the command's.
  - With C(-v) the output is that of P(ansible.builtin.default#callback).
extends_documentation_fragment:
  - default_callback
  - result_format_callback
requirements:
  - set as C(stdout_callback) in the configuration
  - rich, for colours and for the running task
"""

ANSWER = "slipway_answer"
TRIED = "slipway_tried"
TOLD = "slipway_told"
BOOKKEEPING = frozenset(
    f"{prefix}{name}"
    for prefix in ("", "ansible.builtin.", "ansible.legacy.")
    for name in (
        "set_fact", "assert", "debug", "fail", "pause", "meta", "include_role", "import_role", "include_tasks",
        "import_tasks", "include_vars", "validate_argument_spec",
    )
)  # fmt: skip
PAUSE = frozenset(name for name in BOOKKEEPING if name.endswith("pause"))
TYPED = "SLIPWAY_TYPED"  # what stands in for ansible-playbook and its arguments, where something else was typed
SHOW = "slipway.deploy.show"
TICK = 0.25  # seconds between two pictures of the running task
PAUSES = 10.0  # seconds between two lines of progress where there is no terminal
_ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


def told(method: Callable[..., None]) -> Callable[..., None]:
    """Tell an event as a story; with -v, or where that can't be done, as Ansible itself does."""

    @functools.wraps(method)
    def tell(self: CallbackModule, *arguments: Any, **options: Any) -> None:
        own = getattr(super(CallbackModule, self), method.__name__)
        with contextlib.suppress(AttributeError):  # of what is not as it was in the version that this was written for
            self.note(method.__name__, arguments)
        if self._display.verbosity:
            own(*arguments, **options)
            return
        try:
            method(self, *arguments, **options)
        except Exception as error:  # a run must not break because of what is said about it
            self.live.stop()
            self.moving = False
            self._display.warning(f"The callback slipway.deploy.story failed: {type(error).__name__}: {error}")
            own(*arguments, **options)

    return tell


class Running:
    """The last line of a terminal, which shows what runs; nothing where there is no terminal."""

    def __init__(self, line: Callable[[], str], lock: Any) -> None:
        self._line, self._lock = line, lock
        self._live: Any = None
        self._ended = threading.Event()

    def __rich__(self) -> Any:
        self._spinner.update(text=Text(self._line(), style="dim", no_wrap=True, overflow="ellipsis"))
        return self._spinner

    def start(self) -> None:
        if self._live is not None:
            return
        console = Console(
            color_system="standard" if ANSIBLE_COLOR else None, no_color=not ANSIBLE_COLOR, highlight=False
        )
        unicode = console.encoding.startswith("utf")
        self._spinner = Spinner("dots" if unicode else "line", style="dim")
        self._live = Live(
            self,
            console=console,
            auto_refresh=False,
            transient=True,
            redirect_stderr=sys.stderr.isatty(),
        )
        self._live.start(refresh=True)
        console.show_cursor(True)  # whatever ends the run
        self._ended = threading.Event()
        threading.Thread(target=self._tick, args=(self._ended,), daemon=True).start()

    def _tick(self, ended: threading.Event) -> None:
        """Draw it anew. Ansible forks under the lock of its display: no child is made halfway through a picture."""
        while not ended.wait(TICK):
            with self._lock, contextlib.suppress(Exception):
                if not ended.is_set():
                    self._live.refresh()

    def print(self, text: str) -> bool:
        """Print above it, without breaks in words that are longer than a line. False when there is none."""
        with self._lock:
            if self._live is None:
                return False
            self._live.console.print(Text.from_ansi(text), soft_wrap=True)
            return True

    def stop(self) -> None:
        with self._lock:
            live, self._live = self._live, None
            self._ended.set()
            if live is not None:
                with contextlib.suppress(Exception):
                    live.stop()


class CallbackModule(Default):
    """The default callback, told as a story."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "slipway.deploy.story"

    def __init__(self) -> None:
        super().__init__()
        # -e name=… is what every tool calls the name of a new migration; that a play has a keyword of that name is no
        # matter to whoever types it.
        with contextlib.suppress(AttributeError):
            reserved._RESERVED_NAMES = reserved._RESERVED_NAMES - {"name"}
        self.foreground: dict[str, Any] = {}
        self.printing = False  # what was found is for a program
        self.answered: list[str] = []  # hosts
        self.terminal = sys.stdout.isatty()
        columns = shutil.get_terminal_size().columns
        self.story = Story(min(max(columns, NARROW), WIDE) if self.terminal else None)
        self.lock = getattr(self._display, "_lock", contextlib.nullcontext())
        self.live = Running(self.status, self.lock)
        self.moving = False
        self.ended = threading.Event()

    def note(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Note what counts however the run is shown."""
        if event == "v2_playbook_on_start":
            atexit.register(self.leave)
        elif event == "v2_playbook_on_play_start":
            wanted = arguments[0].get_variable_manager().extra_vars.get("output", "table")
            self.printing = wanted != "table" and not self._display.verbosity
        elif event == "v2_runner_on_ok":
            self.foreground = arguments[0].result.get("foreground") or self.foreground
        elif event == "v2_playbook_on_stats":
            hosts = [arguments[0].summarize(host) for host in arguments[0].processed]
            if any(host["failures"] or host["unreachable"] for host in hosts):
                self.foreground = {}

    # Showing it

    def status(self) -> str:
        """What runs now, in one line."""
        columns = shutil.get_terminal_size().columns - 4  # beside the spinner
        return self.story.running(time.monotonic(), columns, self.progress())

    def progress(self) -> str:
        """How far the modules that are at work have come."""
        notes = progress.read()
        named = len(self.story.hosts) > 1
        return "; ".join(f"{note['host']}: " * named + progress.shown(note) for note in notes)

    def tell_progress(self) -> None:
        """Tell it now and then where there is no terminal. Ansible forks under the lock of its display."""
        while not self.ended.wait(PAUSES):
            with self.lock, contextlib.suppress(Exception):
                if (said := self.progress()) and not self.ended.is_set():
                    self.show(self.story.halfway(time.monotonic(), said))

    def show(self, items: Iterable[Item], stderr: bool = False) -> None:
        if self.printing and not stderr:
            return
        for item in items:
            text, coloured = self.code(item) if isinstance(item, Code) else self.line(item)
            if stderr or not self.live.print(coloured):
                self._display.display(coloured, screen_only=True, stderr=stderr)
            self._display.display(text, log_only=True)
        with contextlib.suppress(OSError):
            sys.stdout.flush()

    def line(self, line: Line) -> tuple[str, str]:
        """A line as text, and as it is shown."""
        text = plain(line)
        return text, rendered(Text.assemble(*line)) if HAS_RICH and ANSIBLE_COLOR else text

    def code(self, code: Code) -> tuple[str, str]:
        heading = f"--- {code.file}"
        text = f"{heading}\n{code.text.rstrip()}"
        if not (HAS_RICH and ANSIBLE_COLOR):
            return text, text
        from rich.syntax import Syntax  # takes long, and few runs need it

        syntax = Syntax("", "sql", theme="ansi_dark", background_color="default")
        return text, rendered(Text(f"{heading}\n", "bold")) + rendered(syntax.highlight(code.text.rstrip()))

    # What happens

    @told
    def v2_playbook_on_start(self, playbook: Any) -> None:
        self.story.check = bool(context.CLIARGS.get("check"))
        self.moving = self.terminal and HAS_RICH and not context.CLIARGS.get("step")
        if not self.moving:
            threading.Thread(target=self.tell_progress, daemon=True).start()

    @told
    def v2_playbook_on_play_start(self, play: Any) -> None:
        self._play = play
        self.show(self.story.begin(play.get_name(), time.monotonic()))

    @told
    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        self._task_start(task, "TASK")

    @told
    def v2_playbook_on_handler_task_start(self, task: Any) -> None:
        self._task_start(task, "RUNNING HANDLER")

    def _task_start(self, task: Any, prefix: str | None = None) -> None:
        if self._display.verbosity:
            super()._task_start(task, prefix)
            return
        if task.action not in BOOKKEEPING:
            self.story.task = short(task.get_name())
        if task.action in PAUSE:  # it asks, and the answer is typed where the line was
            self.live.stop()
        elif self.moving and not self.printing:
            self.live.start()

    def event(self, result: CallbackTaskResult, item: bool = False) -> Event:
        host = result.host
        return Event(
            host="" if getattr(host, "implicit", False) else host.get_name(),
            task=short(result.task.get_name()),
            result=result.result,
            work=result.task.action not in BOOKKEEPING,
            says=self._run_is_verbose(result),
            item=f"item={self._get_item_label(result.result)}" if item else "",
            told=result.task.vars.get(TOLD),
        )

    def warn(self, result: CallbackTaskResult) -> None:
        for warning in result.result.pop("warnings", None) or []:
            self.story.warn(self.event(result).host, str(warning))
        self._handle_warnings(result.result)  # deprecations

    @told
    def v2_runner_on_ok(self, result: CallbackTaskResult) -> None:
        self.warn(result)
        if self.printing and "output" in result.result and result.task.action == SHOW:
            self._display.display(result.result["output"])
        else:
            self.story.done(self.event(result))

    @told
    def v2_runner_on_skipped(self, result: CallbackTaskResult) -> None:
        self.warn(result)
        self.story.skipped(self.event(result))

    @told
    def v2_runner_on_failed(self, result: CallbackTaskResult, ignore_errors: bool = False) -> None:
        self.warn(result)
        if ANSWER in result.task.vars:
            self.answered.append(result.host.get_name())
            self.show(self.story.answer(self.event(result)))
        elif TRIED in result.task.get_vars():  # also where it was given to an import around it
            self.story.skipped(self.event(result))
        elif not (result.task.loop and "results" in result.result):  # of a loop each item has told its own
            self.failed(self.event(result), ignored=ignore_errors)

    def failed(self, event: Event, kind: str = "FAILED", ignored: bool = False) -> None:
        aside = self.printing or bool(self.get_option("display_failed_stderr"))
        self.show(self.story.fail(event, time.monotonic(), kind, ignored), stderr=aside)

    @told
    def v2_runner_on_unreachable(self, result: CallbackTaskResult) -> None:
        self.warn(result)
        self.failed(self.event(result), "UNREACHABLE", bool(result.task.ignore_unreachable))

    @told
    def v2_runner_item_on_ok(self, result: CallbackTaskResult) -> None:
        self.warn(result)

    @told
    def v2_runner_item_on_skipped(self, result: CallbackTaskResult) -> None:
        self.warn(result)

    @told
    def v2_runner_item_on_failed(self, result: CallbackTaskResult) -> None:
        self.warn(result)
        self.failed(self.event(result, item=True), ignored=bool(result.task.ignore_errors))

    @told
    def v2_on_file_diff(self, result: CallbackTaskResult) -> None:
        looped = result.task.loop and "results" in result.result
        for each in result.result["results"] if looped else [result.result]:
            if not each.get("changed") or not each.get("diff"):
                continue
            for diff in each["diff"] if isinstance(each["diff"], list) else [each["diff"]]:
                file = str(diff.get("after_header", ""))
                if self.terminal and file.endswith(".sql") and not diff.get("before"):
                    self.story.differ(Code(file, str(diff["after"])))
                else:
                    self.story.differ(_ESCAPE.sub("", self._get_diff(diff)))

    @told
    def v2_playbook_on_include(self, included_file: Any) -> None:
        pass

    @told
    def v2_runner_retry(self, result: CallbackTaskResult) -> None:
        pass

    @told
    def v2_runner_on_async_poll(self, result: CallbackTaskResult) -> None:
        pass

    @told
    def v2_runner_on_async_ok(self, result: CallbackTaskResult) -> None:
        pass

    @told
    def v2_playbook_on_no_hosts_remaining(self) -> None:
        pass

    @told
    def v2_playbook_on_no_hosts_matched(self) -> None:
        pass

    @told
    def v2_playbook_on_stats(self, stats: AggregateStats) -> None:
        self.live.stop()
        self.show(self.story.close(time.monotonic()))
        totals = [stats.summarize(host) for host in stats.processed]
        # Not of a failure that the run got over.
        if sum(each["failures"] + each["unreachable"] for each in totals) > len(self.answered):
            self.show(paragraph(again(), "", self.story.width))
        for host in sorted(stats.processed):
            counts = stats.summarize(host)
            unharmed = not any(counts[name] for name in ("changed", "failures", "unreachable"))
            if host == "localhost" and unharmed and len(stats.processed) > 1:
                continue  # which only looked whether there are hosts
            noes = self.answered.count(host)
            counts.update(ok=counts["ok"] + noes, failures=counts["failures"] - noes)
            self.show([recap(host, counts)])

    def leave(self) -> None:
        """However the run ends, the terminal is as it was, and what was seen is told."""
        self.ended.set()
        self.live.stop()
        with contextlib.suppress(Exception):
            if not self._display.verbosity:
                self.show(self.story.close(time.monotonic(), interrupted=True))
        if self.foreground:
            become(**self.foreground)


def become(argv: list[str], environment: dict[str, str], directory: str) -> None:
    """Go on as another command; what Ansible would still have removed is removed."""
    shutil.rmtree(C.DEFAULT_LOCAL_TMP, ignore_errors=True)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    for descriptor in range(3):  # which Ansible keeps from what it starts itself
        os.set_inheritable(descriptor, True)
    try:
        if directory:
            os.chdir(directory)
        os.execvpe(argv[0], argv, {**os.environ, **environment})
    except OSError as error:
        print(f"{argv[0]} can't be run: {error.strerror}.", file=sys.stderr, flush=True)
        os._exit(127 if isinstance(error, FileNotFoundError) else 126)


def rendered(text: Any) -> str:
    """A text with the codes of its colours."""
    console = Console(
        file=io.StringIO(), force_terminal=True, color_system="standard", no_color=False, width=10_000, soft_wrap=True
    )
    with console.capture() as capture:
        console.print(text, end="")
    return capture.get()


def again() -> str:
    """How to run what was run once more; variables that were given are not shown, since they may be secrets."""
    given = bool(context.CLIARGS.get("extra_vars"))
    if typed := os.environ.get(TYPED):
        words = [typed, *(["ARGS=…"] if given else [])]
    else:
        words = ["ansible-playbook", *context.CLIARGS.get("args", ())]
        for inventory in map(str, context.CLIARGS.get("inventory") or ()):
            if inventory not in map(str, C.DEFAULT_HOST_LIST):
                words += ["-i", min(inventory, os.path.relpath(inventory), key=len)]
        words += ["-e", "…"] if given else []
    return f"Once that is put right: {' '.join(words)}  (-v shows all that Ansible says)"
