"""Helm for the stand-in, as far as the chart of config/helm needs it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

from argorun.sandbox.standin.application import RenderError
from argorun.sandbox.standin.objects import Json

COMMIT = "c0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0de"
VALUE = re.compile(r"\{\{ \.Values\.([\w.]+)( \| quote)? \}\}")
IF = re.compile(r"\{\{- if (?:and )?((?:\.Values\.[\w.]+ ?)+)\}\}\n")


class HelmChart:
    """A Helm source of the stand-in."""

    source_type = "Helm"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def resolve(self, revision: str) -> str:
        """The commit of a branch, a tag or a commit."""
        if revision not in ("HEAD", COMMIT):
            raise RenderError(f"unable to resolve '{revision}' to a commit SHA: revision not found")
        return COMMIT

    def __call__(self, source: Json, /) -> list[Json]:
        """The manifests."""
        values = yaml.safe_load((self._folder / "values.yaml").read_text(encoding="utf-8"))
        for parameter in source.get("helm", {}).get("parameters", []):
            *path, last = parameter["name"].split(".")
            place = values
            for key in path:
                place = place.setdefault(key, {})
            text = parameter.get("value", "")
            place[last] = text if parameter.get("forceString") else yaml.safe_load(text)
        templates = sorted((self._folder / "templates").glob("*.yaml"))
        texts = [_rendered(template.read_text(encoding="utf-8"), values) for template in templates]
        return [manifest for text in texts for manifest in yaml.safe_load_all(text) if manifest]


def _rendered(template: str, values: Any) -> str:
    """A template whose condition, if it has one, is about all of it."""

    def value(path: str) -> Any:
        found = values
        for key in path.split("."):
            found = found[key]
        return found

    condition = IF.match(template)
    if condition:
        if not all(value(path) for path in re.findall(r"\.Values\.([\w.]+)", condition[1])):
            return ""
        template = template[condition.end() :].replace("{{- end }}\n", "")
    text = VALUE.sub(lambda v: json.dumps(str(value(v[1]))) if v[2] else str(value(v[1])), template)
    assert "{{" not in text, f"this is not understood here: {text[text.index('{{') :][:60]}"
    return text
