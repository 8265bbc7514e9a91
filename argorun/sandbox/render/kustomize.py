"""Renders a kustomization: resources, patches, namespace, replacements, in `kustomize build`'s order."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import yaml

from argorun.sandbox.jsonpatch import PatchError, apply_patch
from argorun.sandbox.render import names, paths
from argorun.sandbox.render.strategic import strategic_merge
from argorun.sandbox.standin.application import RenderError
from argorun.sandbox.standin.objects import CLUSTER_SCOPED, Json, group_version

KNOWN = {
    *("apiVersion", "kind", "metadata", "resources", "patches", "replacements", "namespace"),
    *("namePrefix", "nameSuffix", "commonAnnotations", "labels", "images", "configMapGenerator"),
    "generatorOptions",
}


class KustomizeRender:
    """Renders a folder with the patches of `spec.source.kustomize`; `root` is the repository."""

    source_type = "Kustomize"

    def __init__(self, root: Path) -> None:
        self.root = root

    def __call__(self, source: Json) -> list[Json]:
        """The manifests of a source; RenderError where the folder or a patch is wrong."""
        if source.get("helm"):
            raise RenderError("error reading helm chart: Chart.yaml: no such file or directory")
        folder = (self.root / str(source.get("path") or ".")).resolve()
        if not folder.is_relative_to(self.root.resolve()) or not folder.is_dir():
            raise RenderError(f"{source.get('path')}: app path does not exist")
        options = source.get("kustomize") or {}
        extra = {
            "patches": options.get("patches") or [],
            "commonAnnotations": options.get("commonAnnotations") or {},
            **{field: options.get(field) for field in ("namespace", "namePrefix", "nameSuffix")},
            "images": [_image(text) for text in options.get("images") or []],
        }
        return build(folder, extra)


def build(folder: Path, extra: Json | None = None) -> list[Json]:
    """`kustomize build`, with what Argo CD would have put into kustomization.yaml by `kustomize edit`."""
    manifests = _accumulated(folder, extra)
    names.finish(manifests)
    return manifests


def _accumulated(folder: Path, extra: Json | None = None) -> list[Json]:
    kustomization = _load_kustomization(folder)
    for field, value in (extra or {}).items():
        if isinstance(value, list):
            kustomization[field] = [*(kustomization.get(field) or []), *value]
        elif isinstance(value, dict):
            kustomization[field] = {**(kustomization.get(field) or {}), **value}
        elif value:
            kustomization[field] = value
    manifests: list[Json] = []
    for name in kustomization.get("resources") or []:
        path = folder / name
        manifests += _accumulated(path) if path.is_dir() else _load_all(path)
    for generator in kustomization.get("configMapGenerator") or []:
        manifests.append(names.generated(generator, kustomization.get("generatorOptions") or {}))
    for patch in kustomization.get("patches") or []:
        manifests = _apply_patch(folder, manifests, patch)
    for manifest in manifests:
        _decorate(manifest, kustomization)
    names.affix(manifests, kustomization.get("namePrefix", ""), kustomization.get("nameSuffix", ""))
    for replacement in kustomization.get("replacements") or []:
        if "path" in replacement:
            loaded = _load_all(folder / replacement["path"])
            for each in loaded[0] if loaded and isinstance(loaded[0], list) else loaded:
                _replace(manifests, each)
        else:
            _replace(manifests, replacement)
    return manifests


def _load_kustomization(folder: Path) -> Json:
    for name in ("kustomization.yaml", "kustomization.yml", "Kustomization"):
        if (folder / name).is_file():
            kustomization: Json = next(iter(_load_all(folder / name)), {})
            if unknown := set(kustomization) - KNOWN:
                raise RenderError(f"the stand-in's kustomize does not know: {', '.join(sorted(unknown))}")
            return kustomization
    raise RenderError(f"unable to find one of 'kustomization.yaml' in directory '{folder}'")


def _load_all(path: Path) -> list[Any]:
    try:
        return [document for document in yaml.safe_load_all(path.read_text(encoding="utf-8")) if document]
    except (OSError, yaml.YAMLError) as error:
        raise RenderError(f"accumulating resources: {path.name}: {error}") from None


# -- selecting ----------------------------------------------------------------------------------------


def _matches(selector: Json, manifest: Json, *, pattern: bool) -> bool:
    """Whether a patch's target (regular expressions) or a replacement's select (exact) means a manifest."""
    group, version = group_version(manifest)
    meta = manifest.get("metadata", {})
    fields = {
        "group": group,
        "version": version,
        "kind": manifest["kind"],
        "namespace": meta.get("namespace", ""),
    }
    candidates = {field: {value} for field, value in fields.items()} | {"name": names.known_as(manifest)}
    for field, values in candidates.items():
        wanted = selector.get(field)
        if wanted and not any(re.fullmatch(str(wanted), v) if pattern else wanted == v for v in values):
            return False
    return all(
        _labels_match(selector.get(name), meta.get(where) or {})
        for name, where in (("labelSelector", "labels"), ("annotationSelector", "annotations"))
    )


def _labels_match(selector: str | None, labels: dict[str, str]) -> bool:
    for term in filter(None, (selector or "").split(",")):
        name, equals, value = term.partition("=")
        if name.strip() not in labels or (equals and labels[name.strip()] != value.lstrip("=").strip()):
            return False
    return True


# -- patches ------------------------------------------------------------------------------------------


def _apply_patch(folder: Path, manifests: list[Json], patch: Json) -> list[Json]:
    try:
        text = patch["patch"] if "patch" in patch else (folder / patch["path"]).read_text(encoding="utf-8")
        documents = [d for d in yaml.safe_load_all(text) if d]
    except (KeyError, OSError, yaml.YAMLError) as error:
        raise RenderError(f"unable to parse SM or JSON patch: {error}") from None
    target = patch.get("target")
    for document in documents:
        if isinstance(document, list):
            manifests = _json6902(manifests, target or {}, document)
        else:
            manifests = _strategic(manifests, target, document, patch.get("options") or {})
    return manifests


def _json6902(manifests: list[Json], target: Json, operations: list[Json]) -> list[Json]:
    if not target:
        raise RenderError("must specify a target for JSON patch")
    result = []
    for manifest in manifests:
        if _matches(target, manifest, pattern=True):
            try:
                manifest = apply_patch(manifest, operations, strict=True)
            except PatchError as error:
                raise RenderError(str(error)) from None
        result.append(manifest)
    return result


def _strategic(manifests: list[Json], target: Json | None, patch: Json, options: Json) -> list[Json]:
    if target is None:
        meta = patch.get("metadata", {})
        group, version = group_version(patch)
        own = {"group": group, "version": version, "kind": patch.get("kind"), "name": meta.get("name")}
        chosen = [m for m in manifests if _matches(own, m, pattern=False)]
        if not chosen:
            raise RenderError(
                f"no resource matches strategic merge patch {patch.get('kind')}/{meta.get('name')}"
            )
    else:
        chosen = [m for m in manifests if _matches(target, m, pattern=True)]
    result = []
    for manifest in manifests:
        merged: Json | None = manifest
        if any(manifest is one for one in chosen):
            merged = strategic_merge(manifest, copy.deepcopy(patch))
            if merged is not None and not options.get("allowNameChange"):
                merged["metadata"] = {**merged["metadata"], "name": manifest["metadata"]["name"]}
            if merged is not None and not options.get("allowKindChange"):
                merged["kind"] = manifest["kind"]
        if merged is not None:
            result.append(merged)
    return result


# -- what applies to all ------------------------------------------------------------------------------


def _decorate(manifest: Json, kustomization: Json) -> None:
    meta = manifest.setdefault("metadata", {})
    namespace = kustomization.get("namespace")
    if namespace and manifest["kind"] not in CLUSTER_SCOPED:
        meta["namespace"] = namespace
    if common := kustomization.get("commonAnnotations"):
        for holder in (manifest, *_templates(manifest)):
            own = holder.setdefault("metadata", {})
            own["annotations"] = {**(own.get("annotations") or {}), **common}
    for image in kustomization.get("images") or []:
        for template in _templates(manifest):
            spec = template.get("spec") or {}
            for container in [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]:
                _set_image(container, image)


def _templates(manifest: Json) -> list[Json]:
    spec = manifest.get("spec")
    template = spec.get("template") if isinstance(spec, dict) else None
    return [template] if isinstance(template, dict) else []


def _image(text: str) -> Json:
    """`OLD=NEW:TAG` or `NEW:TAG`, as spec.source.kustomize.images has it."""
    old, _, new = text.rpartition("=")
    name, _, tag = new.partition(":")
    return {"name": old or name, "newName": name, "newTag": tag}


def _set_image(container: Json, image: Json) -> None:
    name, _, tag = str(container.get("image", "")).partition(":")
    if name == image["name"]:
        tag = image.get("newTag") or tag
        container["image"] = f"{image.get('newName') or name}{':' + tag if tag else ''}"


# -- replacements -------------------------------------------------------------------------------------


def _replace(manifests: list[Json], replacement: Json) -> None:
    source = replacement.get("source") or {}
    origins = [m for m in manifests if _matches(source, m, pattern=False)]
    if len(origins) != 1:
        what = "multiple matches" if origins else "nothing selected"
        raise RenderError(f"{what} by {source.get('kind')}.{source.get('name')}:{source.get('fieldPath')}")
    try:
        value = paths.find(origins[0], source.get("fieldPath", "metadata.name"))
    except (KeyError, IndexError, StopIteration, TypeError, ValueError):
        raise RenderError(
            f"fieldPath `{source.get('fieldPath')}` is missing for replacement source"
        ) from None
    value = _part(value, source.get("options") or {})
    for target in replacement.get("targets") or []:
        options = target.get("options") or {}
        for manifest in manifests:
            rejected = any(_matches(r, manifest, pattern=False) for r in target.get("reject") or [])
            if not rejected and _matches(target.get("select") or {}, manifest, pattern=False):
                for path in target.get("fieldPaths") or ["metadata.name"]:
                    _put(manifest, path, value, options)


def _part(value: Any, options: Json) -> Any:
    if "delimiter" in options:
        return str(value).split(options["delimiter"])[int(options.get("index", 0))]
    return value


def _put(manifest: Json, path: str, value: Any, options: Json) -> None:
    found = list(paths.places(manifest, path, create=bool(options.get("create"))))
    if not found:
        kind, name = manifest["kind"], manifest["metadata"].get("name")
        raise RenderError(f"unable to find field {json.dumps(path)} in replacement target {kind} {name}")
    for holder, key in found:
        if "delimiter" in options:
            words = str(holder[key]).split(options["delimiter"])
            index = int(options.get("index", 0))
            words[index] = str(value)
            holder[key] = options["delimiter"].join(words)
        else:
            holder[key] = copy.deepcopy(value)
