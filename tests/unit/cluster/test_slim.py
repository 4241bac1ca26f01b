"""What is loaded of the client library, each time in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

_USED = (
    "from driftd.cluster import slim; slim.use(); slim.use(); import sys; "
    "from kubernetes_asyncio.client import ApiClient, Configuration; "
    "from kubernetes_asyncio.config import load_kube_config_from_dict; "
)
_MODELS = "len([one for one in sys.modules if one.startswith('kubernetes_asyncio.client.models.')])"


@pytest.mark.parametrize(
    ("program", "said"),
    [
        (f"{_USED} print({_MODELS})", "0"),
        (f"{_USED} print(Configuration(host='https://one.example').host)", "https://one.example"),
        (f"{_USED} from kubernetes_asyncio.client import V1Pod; print(V1Pod.__name__)", "V1Pod"),
        (f"{_USED} from kubernetes_asyncio.client import rest; print(rest.__name__[-4:])", "rest"),
        (f"{_USED} print(hasattr(sys.modules['kubernetes_asyncio'], '__wrapped__'))", "False"),
    ],
)
def test_models_are_loaded_for_those_who_ask_for_them(program: str, said: str) -> None:
    """No model is loaded for what driftd uses; whoever names another thing of it gets it."""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == (said, "")


def test_a_library_that_is_loaded_stays_as_it_is() -> None:
    """Whoever has loaded the whole library before keeps it."""
    program = (
        "import sys, kubernetes_asyncio as before; from driftd.cluster import slim; slim.use(); "
        "print(sys.modules['kubernetes_asyncio'] is before, hasattr(before.client, 'V1Pod'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.stdout.strip(), done.stderr) == ("True True", "")
