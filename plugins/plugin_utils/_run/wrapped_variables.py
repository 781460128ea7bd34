# SPDX-License-Identifier: GPL-3.0-or-later
"""The variables that a template sees, wrapped once for all templates that see the same ones.

Ansible puts each variable into a wrapper that evaluates it when it is asked for, anew for each template that it
evaluates, also for those that a variable's own value is: some thousand variables for each of some thousand templates.
The wrappers hold nothing but the value and never change, so that they may be shared; what was evaluated is not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import is_
from typing import Any, NamedTuple

SMALLEST = 100  # variables, below which wrapping them anew takes no time
KEPT = 4  # sets of variables: those of the task, and of hosts that it asks about


class Wrapped(NamedTuple):
    """A set of variables, as it was when its wrappers were made."""

    variables: Mapping[str, Any]  # held, so that no other set gets its address
    names: list[str]
    values: list[Any]
    wrappers: dict[str, Any]

    def same(self, variables: Mapping[str, Any]) -> bool:
        """Whether these are still the same objects, in the same order."""
        return (
            len(self.names) == len(variables)
            and all(map(is_, self.names, variables))
            and all(map(is_, self.values, variables.values()))
        )


class Wrappers:
    """The wrappers of the sets of variables that were seen last, each made by ``wrap``."""

    def __init__(self, wrap: Callable[[Any], Any]) -> None:
        self._wrap = wrap
        self._found: dict[int, Wrapped] = {}

    def of(self, variables: Mapping[str, Any]) -> dict[str, Any]:
        """Each variable's wrapper by its name; to be copied, and not changed."""
        found = self._found.get(id(variables))
        if found is None or not found.same(variables):
            if found is None and len(self._found) == KEPT:
                self._found.clear()
            wrappers = {name: self._wrap(value) for name, value in variables.items()}
            found = Wrapped(variables, list(variables), list(variables.values()), wrappers)
            self._found[id(variables)] = found
        return found.wrappers


def install() -> None:
    """Have this process, and those that it starts, wrap a set of variables once.

    Raises ImportError or AttributeError where Ansible wraps them otherwise than it does in 2.19.
    """
    from ansible._internal._templating._lazy_containers import (
        _AnsibleLazyTemplateDict,
        _LazyValue,
        _LazyValueSource,
    )
    from ansible._internal._templating._utils import TemplateContext

    anew = _AnsibleLazyTemplateDict._lazy_values
    if anew.__code__.co_varnames[: anew.__code__.co_argcount] != ("values", "lazy_options"):
        raise AttributeError("Ansible wraps variables by other arguments")
    wrappers = Wrappers(_LazyValue)

    def lazy_values(values: Any, lazy_options: Any) -> Any:
        if type(values) is not dict or len(values) < SMALLEST:  # a subclass may have items of its own
            return anew(values, lazy_options)
        templar = TemplateContext.current().templar
        return _LazyValueSource(source=wrappers.of(values), templar=templar, lazy_options=lazy_options)

    _AnsibleLazyTemplateDict._lazy_values = staticmethod(lazy_values)
