"""Loads of `kubernetes_asyncio` the parts that driftd uses, and no others.

Its packages import everything that they have: a thousand modules of models, 35 MB and half a
second in each process. Objects are read raw here, so nobody asks for a model.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from typing import Any, Final

_LIBRARY: Final = "kubernetes_asyncio"
_SHELLS: Final = (_LIBRARY, f"{_LIBRARY}.client", f"{_LIBRARY}.client.models")
"""Packages whose `__init__` imports what is not needed, outer ones first."""
_HOMES: Final = {
    "ApiClient": f"{_LIBRARY}.client.api_client",
    "Configuration": f"{_LIBRARY}.client.configuration",
}
"""Where the names of `kubernetes_asyncio.client` lie that are needed."""


def use() -> None:
    """Let imports of `kubernetes_asyncio` load what they name; those under way are left alone.

    Whoever asks a package for another name than driftd does gets it all the same: then the
    package is loaded as a whole.
    """
    if _LIBRARY in sys.modules:
        return
    for name in _SHELLS:
        _shell(name)


def _shell(name: str) -> None:
    """Put a package in place that has not run its `__init__`, but finds its modules."""
    spec = find_spec(name)
    if spec is None or spec.loader is None:
        return  # whoever imports it is told what is missing
    module, loader = module_from_spec(spec), spec.loader

    def __getattr__(asked: str) -> Any:  # noqa: N807 - as modules have it
        home = _HOMES.get(asked) if name.endswith(".client") else None
        if home is not None:
            return getattr(import_module(home), asked)
        # An AttributeError lets `from … import` look for the module of that name.
        if not asked.startswith("__") and find_spec(f"{name}.{asked}") is None:
            del module.__dict__["__getattr__"]
            loader.exec_module(module)
            return getattr(module, asked)
        raise AttributeError(f"module {name!r} has no attribute {asked!r}")

    module.__dict__["__getattr__"] = __getattr__
    sys.modules[name] = module
    parent, _, own = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], own, module)
