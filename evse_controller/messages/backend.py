"""The compiled coders, where the optional distribution `evse-controller-compiled` is installed.

They stand in front of the pure ones and do what is clean; for everything else they return None, and the pure coders
decide. So results, errors and deviations are the same with and without them, only the time is not.

The environment variable EVSE_CONTROLLER_CODERS says more: `pure` does without them, `compiled` insists on them.
"""

from __future__ import annotations

import os
from functools import cache
from importlib import import_module
from typing import Protocol, cast

from evse_controller.messages.base import GENERATED, Message, Schema

DISTRIBUTION = "evse_controller_compiled"


class CompiledCoders(Protocol):
    """Coders of the documents of one schema set; None means: not for this coder."""

    def decode(self, data: bytes) -> Message | None: ...

    def encode(self, message: Message) -> bytes | None: ...


@cache
def compiled_coders(schema: Schema) -> CompiledCoders | None:
    """The compiled coders of a schema set, or None. RuntimeError if they are insisted on and missing."""
    wanted = os.environ.get("EVSE_CONTROLLER_CODERS", "")
    if wanted not in ("", "pure", "compiled"):
        raise RuntimeError(f"EVSE_CONTROLLER_CODERS is {wanted!r}; it may be pure or compiled")
    if wanted == "pure":
        return None
    try:
        maker = import_module(DISTRIBUTION).Coders
    except ModuleNotFoundError as error:
        if wanted or error.name != DISTRIBUTION:
            raise RuntimeError("the compiled coders are not installed, or not as a whole") from error
        return None
    module = import_module(f"{GENERATED}.{schema.module}")
    roots = {kind: code for kind, (code, _) in module.ROOT_ENCODERS.items()}
    return cast("CompiledCoders", maker(module.DOCUMENT_BITS, roots))
