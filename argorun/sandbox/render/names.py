"""Names in kustomize: prefixes, suffixes, hashes of ConfigMaps, and references to them."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Iterator
from typing import Any

from argorun.sandbox.standin.objects import Json

FORMER = "internal.config.kubernetes.io/previousNames"  # an annotation while a build lasts
HASHED = "internal.config.kubernetes.io/needs-hash"
NEVER_RENAMED = ("CustomResourceDefinition", "APIService", "Namespace")
# Where a pod names an object of a kind: the key that holds the reference, and its key for the name.
REFERENCES = {
    "ConfigMap": {"configMapKeyRef": "name", "configMapRef": "name", "configMap": "name"},
    "Secret": {"secretKeyRef": "name", "secretRef": "name", "secret": "secretName"},
}


def known_as(manifest: Json) -> set[str]:
    """The names that a patch or a replacement may select an object by."""
    return {_former(manifest)[0], manifest.get("metadata", {}).get("name", "")}


def affix(manifests: list[Json], prefix: str, suffix: str) -> None:
    """Put prefix and suffix on every name."""
    for m in manifests:
        if m["kind"] not in NEVER_RENAMED and m["metadata"].get("name"):
            _rename(m, f"{prefix}{m['metadata']['name']}{suffix}")


def finish(manifests: list[Json]) -> None:
    """Add the hashes, update the references to the final names, remove what only the build needs."""
    for m in manifests:
        if HASHED in (m["metadata"].get("annotations") or {}):
            _rename(m, f"{m['metadata']['name']}-{_hash(m)}")
    for m in manifests:
        for kind, holder, key in _references(m.get("spec")):
            meant = [o for o in manifests if o["kind"] == kind and holder[key] in _former(o)]
            # Where bases have objects of one name, the reader's own base counts.
            meant.sort(key=lambda o: -_shared(_final(o), _final(m)))
            holder[key] = _final(meant[0]) if meant else holder[key]
    for m in manifests:
        annotations = m["metadata"].get("annotations")
        if annotations is not None:
            annotations.pop(FORMER, None)
            annotations.pop(HASHED, None)
            if not annotations:
                del m["metadata"]["annotations"]


def generated(generator: Json, options: Json) -> Json:
    """The ConfigMap of a generator with literals."""
    data = dict(text.split("=", 1) for text in generator.get("literals") or [])
    options = options | (generator.get("options") or {})
    annotations = {} if options.get("disableNameSuffixHash") else {HASHED: "true"}
    metadata: Json = {"name": generator["name"]} | ({"annotations": annotations} if annotations else {})
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def _rename(manifest: Json, name: str) -> None:
    meta = manifest["metadata"]
    if name != meta["name"]:
        former = ",".join(_former(manifest))
        meta["annotations"] = (meta.get("annotations") or {}) | {FORMER: former}
        meta["name"] = name


def _former(manifest: Json) -> list[str]:
    """The names that an object has had, the original one first, the current one last."""
    meta = manifest.get("metadata") or {}
    former = (meta.get("annotations") or {}).get(FORMER, "")
    return list(dict.fromkeys([*filter(None, former.split(",")), meta.get("name", "")]))


def _shared(one: str, other: str) -> int:
    """The length of the common prefix of two names."""
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _final(manifest: Json) -> str:
    return str(manifest["metadata"].get("name", ""))


def _references(node: Any) -> Iterator[tuple[str, Json, str]]:
    """Each place below a node that names an object: its kind, what holds the name, and under which key."""
    if isinstance(node, dict):
        for field, inner in node.items():
            for kind, fields in REFERENCES.items():
                key = fields.get(field)
                if key and isinstance(inner, dict) and key in inner:
                    yield kind, inner, key
            yield from _references(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from _references(inner)


def _hash(configmap: Json) -> str:
    """Source: kustomize's api/hasher; it looks the name up by a path that finds none."""
    data = configmap.get("data") or {}
    known = {"data": data, "kind": "ConfigMap", "name": ""}
    text = json.dumps(known, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    text = re.sub("[&<>\u2028\u2029]", lambda sign: f"\\u{ord(sign[0]):04x}", text)  # as Go writes it
    return hashlib.sha256(text.encode()).hexdigest()[:10].translate(str.maketrans("013ae", "ghkmt"))
