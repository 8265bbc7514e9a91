"""An Application's spec in the form in which Argo CD stores and shows it. Pure.

Argo CD decodes what it is sent into Go types, encodes it again, and drops source options that are empty
(source: pkg/apis/application/v1alpha1/types.go, whose `omitempty` tags stand below; NormalizeApplicationSpec
in util/argo/argo.go; docs/argocd-facts.md#the-normal-form-of-a-spec). Two specs mean the same to it if
their normal forms are equal.
"""

from __future__ import annotations

import decimal
import json
import math
import re
from collections.abc import Callable, Iterator
from typing import Any

from argorun.argocd.types import Json

Rule = Callable[[Any], Any]  # a value's normal form; DROPPED if the field is left out
DROPPED: Any = object()
INT64 = 2**63

# `kustomize` counts as empty if it has nothing but these (source: ApplicationSourceKustomize.IsZero).
MODIFIERS = {
    "forceCommonLabels",
    "forceCommonAnnotations",
    "commonAnnotationsEnvsubst",
    "labelWithoutSelector",
    "labelIncludeTemplates",
}


def normalize(spec: Json) -> Json:
    """A copy of the spec as Argo CD would store it.

    Fields that are not known here stay: a newer Argo CD may know them.
    """
    normal: Json = _spec(spec)
    if not normal.get("project"):
        normal["project"] = "default"
    if normal.get("syncPolicy") == {}:
        del normal["syncPolicy"]
    for source in normal.get("sources") or [normal.get("source") or {}]:
        if set(source.get("kustomize") or ()) <= MODIFIERS:
            source.pop("kustomize", None)
        for tool in ("helm", "directory"):
            if source.get(tool) == {}:
                del source[tool]
    return normal


def same(one: Json, other: Json) -> bool:
    """Whether two specs mean the same to Argo CD."""
    return normalize(one) == normalize(other)


def differing(one: Json, other: Json) -> list[str]:
    """The fields that differ between two specs to Argo CD, such as `source.helm.parameters`."""
    return list(_differing(normalize(one), normalize(other), ()))


def _differing(one: Any, other: Any, path: tuple[str, ...]) -> Iterator[str]:
    if one == other:
        return
    if not (isinstance(one, dict) and isinstance(other, dict)):
        yield ".".join(path)
        return
    for name in dict.fromkeys([*one, *other]):
        yield from _differing(one.get(name), other.get(name), (*path, name))


def parameter(element: Json) -> Json:
    """A Helm parameter's normal form: without an empty value, without `forceString: false`."""
    normal: Json = _parameter(element)
    return normal


def automated(policy: Json | None) -> Json | None:
    """`syncPolicy.automated` in its normal form; here `{}` does not mean absent: it means on."""
    normal = _automated(policy)
    return None if normal is DROPPED else normal


def number(value: int | float) -> int | float:
    """A number as Argo CD returns it: through Go's float64 unless it is an integer of 64 bits."""
    if isinstance(value, int) and -INT64 <= value < INT64:
        return value
    text = go_number(float(value))
    return int(text) if text.lstrip("-").isdecimal() else float(text)


def go_number(value: float) -> str:
    """A float as Go's encoding/json writes it (floatEncoder): 1e-7, 100000000000000000000, 1e+21, 2."""
    if not math.isfinite(value):
        raise ValueError(f"{value} cannot be written as JSON")
    if value == 0:
        return "0"
    shortest = decimal.Decimal(repr(value))
    if 1e-6 <= abs(value) < 1e21:
        plain = f"{shortest:f}"
        return plain.rstrip("0").rstrip(".") if "." in plain else plain
    sign, digits, _ = shortest.as_tuple()
    mantissa = "".join(map(str, digits)).rstrip("0")
    point = f".{mantissa[1:]}" if mantissa[1:] else ""
    return f"{'-' if sign else ''}{mantissa[0]}{point}e{shortest.adjusted():+d}"


def go_json(value: Any) -> str:
    """JSON as Go's encoding/json writes it: `&`, `<`, `>`, U+2028 and U+2029 escaped, and numbers.

    See docs/argocd-facts.md#tests-in-a-json-patch.
    """
    if isinstance(value, dict):
        return "{" + ", ".join(f"{go_json(str(k))}: {go_json(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(go_json(v) for v in value) + "]"
    if isinstance(value, float):
        return go_number(value)
    text = json.dumps(value, ensure_ascii=False)
    return re.sub("[&<>\u2028\u2029]", lambda sign: f"\\u{ord(sign[0]):04x}", text)


# -- the rules -----------------------------------------------------------------------------------------


def _omitempty(value: Any) -> Any:
    """A string, number or flag that is left out if it is zero."""
    return DROPPED if value in ("", 0, False, None) else value


def _pointer(value: Any) -> Any:
    """A pointer to a plain value: zero is kept, and only null is left out."""
    return DROPPED if value is None else value


def _zero(zero: Any) -> Rule:
    """A field without `omitempty`: it is always there."""
    return lambda value: zero if value is None else value


def _struct(**fields: Rule) -> Rule:
    """A struct, or a pointer to one: null is left out, and {} is not."""

    def normal(value: Any) -> Any:
        if not isinstance(value, dict):
            return DROPPED if value is None else value
        known = {name: rule(value.get(name)) for name, rule in fields.items()}
        return {k: v for k, v in (value | known).items() if v is not DROPPED}

    return normal


def _list(rule: Rule) -> Rule:
    def normal(value: Any) -> Any:
        if not isinstance(value, list):
            return DROPPED if value is None else value
        # In Go, null among structs is an empty one.
        return [rule({} if each is None else each) for each in value] or DROPPED

    return normal


def _text(value: Any) -> Any:
    return "" if value in (None, {}) else value


def _map(value: Any) -> Any:
    """A map of strings."""
    if not isinstance(value, dict):
        return DROPPED if value is None else value
    return {k: _text(v) for k, v in value.items()} or DROPPED


def _raw(value: Any) -> Any:
    """JSON of any kind, kept as it is but for its numbers (Kubernetes decodes and encodes them)."""
    return DROPPED if value is None else _numbers(value)


def _numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _numbers(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_numbers(v) for v in value]
    plain = isinstance(value, bool) or not isinstance(value, int | float)
    return value if plain else number(value)


def _all(rule: Rule, *names: str) -> dict[str, Rule]:
    return dict.fromkeys(names, rule)


_TEXTS = _list(_text)
_parameter = _struct(**_all(_omitempty, "name", "value", "forceString"))
_HELM = _struct(
    **_all(_omitempty, "releaseName", "values", "version", "passCredentials", "ignoreMissingValueFiles"),
    **_all(_omitempty, "skipCrds", "namespace", "kubeVersion", "skipTests", "skipSchemaValidation"),
    **_all(_TEXTS, "valueFiles", "apiVersions"),
    parameters=_list(_parameter),
    fileParameters=_list(_struct(**_all(_omitempty, "name", "path"))),
    valuesObject=_raw,
)
_SELECTOR = _struct(
    **_all(_omitempty, "group", "version", "kind", "name", "namespace"),
    **_all(_omitempty, "annotationSelector", "labelSelector"),
)
_KUSTOMIZE = _struct(
    **_all(_omitempty, "namePrefix", "nameSuffix", "version", "namespace", "kubeVersion", *MODIFIERS),
    **_all(_omitempty, "ignoreMissingComponents"),
    **_all(_TEXTS, "images", "components", "apiVersions"),
    **_all(_map, "commonLabels", "commonAnnotations"),
    replicas=_list(_struct(name=_zero(""), count=_zero(0))),
    patches=_list(_struct(**_all(_omitempty, "path", "patch"), target=_SELECTOR, options=_map)),
)
_JSONNET_VARS = _list(_struct(**_all(_zero(""), "name", "value"), code=_omitempty))


def _jsonnet(value: Any) -> Any:
    normal = _struct(extVars=_JSONNET_VARS, tlas=_JSONNET_VARS, libs=_TEXTS)(value)
    return DROPPED if normal == {} else normal


_SOURCE = _struct(
    repoURL=_zero(""),
    **_all(_omitempty, "path", "targetRevision", "chart", "ref", "name", "tagPrefix"),
    helm=_HELM,
    kustomize=_KUSTOMIZE,
    directory=_struct(
        **_all(_omitempty, "recurse", "exclude", "include", "disableExtensionFilter"), jsonnet=_jsonnet
    ),
    plugin=_struct(name=_omitempty, env=_list(_struct(**_all(_zero(""), "name", "value")))),
)
_automated = _struct(**_all(_pointer, "prune", "selfHeal", "allowEmpty", "enabled"))
_RETRY = _struct(
    **_all(_omitempty, "limit", "refresh"),
    backoff=_struct(**_all(_omitempty, "duration", "maxDuration"), factor=_pointer),
)
_IGNORED = _struct(
    kind=_zero(""),
    **_all(_omitempty, "group", "name", "namespace"),
    **_all(_TEXTS, "jsonPointers", "jqPathExpressions", "managedFieldsManagers"),
)
_spec = _struct(
    source=_SOURCE,
    sources=_list(_SOURCE),
    destination=lambda v: _struct(**_all(_omitempty, "server", "namespace", "name"))(v or {}),
    project=_zero(""),
    syncPolicy=_struct(
        automated=_automated,
        syncOptions=_TEXTS,
        retry=_RETRY,
        managedNamespaceMetadata=_struct(**_all(_map, "labels", "annotations")),
    ),
    ignoreDifferences=_list(_IGNORED),
    info=_list(_struct(**_all(_zero(""), "name", "value"))),
    revisionHistoryLimit=_pointer,
    sourceHydrator=_pointer,
)
