"""Sources as people write them and as Argo CD stores them; unit and contract tests go by the same."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

Json = dict[str, Any]


def helm(*parameters: Any, **more: Any) -> Json:
    return {"helm": {"parameters": list(parameters)} | more}


ODD = "&<>\u2028\u2029 'x' \"y\" \\ ä 🎉 \t\x7f"
TEXTS = st.text(st.sampled_from("ab&<>\u2028\"'\\\n\x7fä🎉"), max_size=3)
FEW = st.sampled_from(["a", "b", "c"])  # so that names are listed twice


def parameters(**more: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Json] | None]:
    """Lists of Helm parameters in any spelling, with more keys where they are given."""
    known = {"value": st.none() | TEXTS, "forceString": st.none() | st.booleans()}
    return st.none() | st.lists(st.fixed_dictionaries({"name": FEW}, optional=known | more), max_size=5)


PARAMETERS = parameters()
SPELLINGS: list[tuple[Json, Json]] = [
    ({"helm": {}}, {}),
    ({"helm": None}, {}),
    (helm(), {}),
    (helm({"name": "a", "value": ""}), helm({"name": "a"})),
    (helm({"name": "a", "value": None, "forceString": None}), helm({"name": "a"})),
    (helm({"name": "a", "value": "1", "forceString": False}), helm({"name": "a", "value": "1"})),
    (
        helm({"name": "a", "value": "", "forceString": True}),
        helm({"name": "a", "forceString": True}),
    ),
    # Order and repetition mean something, and stay.
    (
        helm({"name": "b", "value": "1"}, {"name": "a", "value": "1"}, {"name": "b", "value": "2"}),
        helm({"name": "b", "value": "1"}, {"name": "a", "value": "1"}, {"name": "b", "value": "2"}),
    ),
    (helm({"name": "odd", "value": ODD}), helm({"name": "odd", "value": ODD})),
    (
        helm(valueFiles=[], values="", releaseName=None, skipCrds=False, fileParameters=[], apiVersions=[]),
        {},
    ),
    (
        {"helm": {"valuesObject": {"empty": "", "none": None, "list": [], "off": False, "map": {}}}},
        {"helm": {"valuesObject": {"empty": "", "none": None, "list": [], "off": False, "map": {}}}},
    ),
    ({"helm": {"valuesObject": {}}}, {"helm": {"valuesObject": {}}}),
    (
        {"helm": {"valuesObject": {"a": 1e-7, "b": 2.0, "c": 1e21, "d": 1e16, "e": 2**63, "f": 0.5}}},
        {
            "helm": {
                "valuesObject": {
                    "a": 1e-7,
                    "b": 2,
                    "c": 1e21,
                    "d": 10**16,
                    "e": 9223372036854776000,
                    "f": 0.5,
                }
            }
        },
    ),
]
KUSTOMIZE_SPELLINGS: list[tuple[Json, Json]] = [
    ({"kustomize": {}}, {}),
    ({"kustomize": {"patches": [], "images": [], "commonLabels": {}, "namePrefix": ""}}, {}),
    ({"kustomize": {"forceCommonLabels": True}}, {}),
    (
        {"kustomize": {"patches": [{"patch": "[]", "path": "", "options": {}, "target": {"kind": "X"}}]}},
        {"kustomize": {"patches": [{"patch": "[]", "target": {"kind": "X"}}]}},
    ),
    (
        {"kustomize": {"nameSuffix": "-x", "forceCommonLabels": False, "patches": None}},
        {"kustomize": {"nameSuffix": "-x"}},
    ),
]
