"""ApplicationSet templates without `goTemplate`: `{{name}}` in all texts. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from driftd.model.resource import Json

_TAG = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)


def filled(template: Json, parameters: Mapping[str, str]) -> Json:
    """`template` with every `{{name}}` of its texts and keys replaced.

    Spaces inside the braces do not matter; a name without a parameter stays as written,
    as with Argo CD. Numbers and booleans of the template are never replaced.
    """
    if isinstance(template, str):
        return _TAG.sub(lambda tag: parameters.get(tag[1].strip(), tag[0]), template)
    if isinstance(template, dict):
        return {filled(key, parameters): filled(item, parameters) for key, item in template.items()}
    if isinstance(template, list):
        return [filled(item, parameters) for item in template]
    return template
