# SPDX-License-Identifier: GPL-3.0-or-later
"""The edge between the core and Ansible: errors of the core become failed tasks in this one place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError, sentence
from ansible_collections.slipway.deploy.plugins.module_utils._fence import fenced


def run(module: AnsibleModule, work: Callable[[AnsibleModule], dict[str, Any]], *, bookkeeping: bool = False) -> None:
    """Run ``work`` and exit with the result that it returns, or fail with the one sentence that it raises.

    Only while the run is in charge of the host; ``bookkeeping`` is about the runs themselves and always allowed.
    """
    try:
        with fenced(exempt=bookkeeping or module.check_mode):
            result = work(module)
    except SlipwayError as error:
        module.fail_json(msg=str(error), **error.details)
    except OSError as error:  # what no module expected: a disk that is full or read-only, a right that is missing
        module.fail_json(msg=sentence(error))
    module.exit_json(**result)
