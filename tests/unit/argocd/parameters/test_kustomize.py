"""Kustomize: the object that a name means is found among those rendered, and its patch reaches only it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from argorun.argocd.parameters.kustomize import (
    ROLLED,
    Kustomize,
    check_rendered,
    check_taken,
    original_value,
    patches,
    reads_configmap,
    rolled_by,
)
from argorun.argocd.parameters.kustomize_names import Names, base_name
from argorun.argocd.types import Json
from argorun.errors import UsageError
from argorun.sandbox.render import KustomizeRender
from tests.kustomizations import CALLED, HELLOTILT, LAYOUTS, Layout, configmap, deployment

TOPIC = "weather_updates_1700000000_0a1b2c3d"
MANIFESTS: list[Json] = [configmap("topic-config", topic_name="was", one="a", two="b"), HELLOTILT]


def test_a_config_maps_key_is_patched_and_its_readers_are_rolled() -> None:
    other: Json = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "hellotilt"}}
    made = patches([Kustomize("topic-config", "topic_name", TOPIC)], [*MANIFESTS, other], {})
    assert [p["target"] for p in made] == [
        {"version": "v1", "kind": "ConfigMap", "name": "topic-config"},
        {"group": "apps", "version": "v1", "kind": "Deployment", "name": "hellotilt"},
    ]
    assert [json.loads(p["patch"]) for p in made] == [
        [{"op": "replace", "path": "/data/topic_name", "value": TOPIC}],
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "hellotilt"},
            "spec": {"template": {"metadata": {"annotations": {ROLLED: TOPIC}}}},
        },
    ]


def test_a_keys_slash_and_tilde_are_escaped() -> None:
    (patch,) = patches([Kustomize("c", "a/b~c", TOPIC)], [], {})
    assert json.loads(patch["patch"]) == [{"op": "replace", "path": "/data/a~1b~0c", "value": TOPIC}]


def test_a_workload_that_reads_two_topics_is_rolled_once_for_both() -> None:
    two = [Kustomize("topic-config", "one", "t1"), Kustomize("topic-config", "two", "t2")]
    made = patches(two, MANIFESTS, {})
    assert len(made) == 3
    body = json.loads(made[2]["patch"])
    assert body["spec"]["template"]["metadata"]["annotations"] == {ROLLED: "t1,t2"}


@pytest.mark.parametrize(
    ("pod", "reads"),
    [
        (
            {
                "containers": [
                    {"env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}]}
                ]
            },
            True,
        ),
        ({"initContainers": [{"envFrom": [{"configMapRef": {"name": "c"}}]}]}, True),
        ({"volumes": [{"configMap": {"name": "c"}}]}, True),
        ({"volumes": [{"projected": {"sources": [{"secret": {}}, {"configMap": {"name": "c"}}]}}]}, True),
        (
            {
                "containers": [
                    {"env": [{"name": "A", "value": "c"}], "envFrom": [{"secretRef": {"name": "c"}}]}
                ]
            },
            False,
        ),
        ({"volumes": [{"configMap": {"name": "d"}}, {"secret": {"secretName": "c"}}]}, False),
        ({"containers": [{"env": None, "envFrom": None}], "initContainers": None, "volumes": None}, False),
        ({}, False),
    ],
)
def test_only_pods_that_read_the_config_map_are_rolled(pod: Json, reads: bool) -> None:
    assert reads_configmap({"spec": {"template": {"spec": pod}}}, "c") is reads


# -- names --------------------------------------------------------------------------------------------------


def written(layout: Layout, folder: Path) -> Path:
    for name, text in layout.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def render(folder: Path, options: Json) -> list[Json]:
    return KustomizeRender(folder)({"path": "app", "kustomize": options})


@pytest.mark.parametrize(("which", "name"), CALLED)
def test_a_name_as_the_source_has_it_or_as_it_is_rendered_reaches_that_object_and_no_other(
    which: str, name: str, tmp_path: Path
) -> None:
    layout = LAYOUTS[which]
    folder = written(layout, tmp_path)
    spec: Json = {"source": {"kustomize": layout.options}}
    settings = [Kustomize(name, "topic", TOPIC)]
    before = render(folder, layout.options)
    check_rendered("weather", settings, before, spec)
    assert original_value(settings[0], spec, before) == "shared" or "no affix" in which
    ours = patches(settings, before, spec)
    after = render(folder, layout.options | {"patches": ours})
    check_taken("weather", settings, after, spec)
    assert [base_name(m) for m in after if TOPIC in (m.get("data") or {}).values()] == [layout.configmap]
    assert [m["metadata"]["name"] for m in after if rolled_by(m)] == list(layout.rolled)
    with pytest.raises(UsageError, match="does not take the value"):
        check_taken("weather", settings, before, spec)


@pytest.mark.parametrize(("which", "name"), [(w, n) for w in LAYOUTS for n in LAYOUTS[w].ambiguous])
def test_a_name_that_may_mean_several_objects_is_refused_with_all_of_them(
    which: str, name: str, tmp_path: Path
) -> None:
    layout = LAYOUTS[which]
    rendered = render(written(layout, tmp_path), layout.options)
    with pytest.raises(UsageError) as e:
        check_rendered("weather", [Kustomize(name, "topic", TOPIC)], rendered, {"source": {}})
    candidates = sorted(n for m in rendered if (n := base_name(m)).endswith("settings"))
    assert (e.value.message, e.value.hint) == (
        f"ConfigMap settings of Application weather may be any of {', '.join(candidates)}",
        "write the name of the one that is meant in full, as it is rendered",
    )


def rendered(*names: str) -> list[Json]:
    return [{"kind": "ConfigMap", "metadata": {"name": n}, "data": {"topic": "x"}} for n in names]


@pytest.mark.parametrize(
    ("names", "called", "meant"),
    [
        (["topic-config"], "topic-config", ["topic-config"]),
        (["topic-config-5g2m8k9f7h"], "topic-config", ["topic-config-5g2m8k9f7h"]),
        (["topic-config-5g2m8k9f7h"], "topic-config-5g2m8k9f7h", ["topic-config-5g2m8k9f7h"]),
        (["x", "a-x"], "x", ["x"]),  # no affix is on both
        (["a-x", "a-a-x"], "a-x", ["a-x", "a-a-x"]),  # rendered, or before a prefix
        (["a-x", "a-a-x"], "x", ["a-x"]),
        (["a-x", "a-a-x"], "a-a-x", ["a-a-x"]),
        (["dev-topics", "dev-other"], "topic", []),
        (["dev-topics", "dev-other"], "", []),
    ],
)
def test_the_more_likely_meaning_of_a_name_counts(names: list[str], called: str, meant: list[str]) -> None:
    found = Names({}, rendered(*names)).configmaps(called, "topic")
    assert [m["metadata"]["name"] for m in found] == meant


def test_a_name_that_turns_out_to_be_the_original_one_of_two_is_told_once_it_is_rendered(
    tmp_path: Path,
) -> None:
    folder = written(LAYOUTS["two bases that begin alike"], tmp_path)
    settings = [Kustomize("settings", "topic", TOPIC)]
    ours = patches(settings, render(folder, {}), {})
    with pytest.raises(UsageError, match="reaches ConfigMap shop-eu-settings"):
        check_taken("weather", settings, render(folder, {"patches": ours}), {})


def test_a_patch_that_misses_a_reader_or_rolls_another_workload_is_told() -> None:
    def reader(name: str, configmap: str, annotation: str | None) -> Json:
        made = deployment(name, configmap)
        if annotation is not None:
            made["spec"]["template"]["metadata"]["annotations"] = {ROLLED: annotation}
        return made

    ours = configmap("settings", topic=TOPIC)
    settings = [Kustomize("settings", "topic", TOPIC)]
    replaced = configmap("by-a-replacement", topic=TOPIC)
    fine = [ours, replaced, reader("a", "settings", TOPIC), reader("b", "x", "other")]
    check_taken("weather", settings, fine, {})
    for workloads, words in (
        ([reader("a", "settings", None)], "does not reach Deployment a of Application weather"),
        ([reader("b", "other", TOPIC)], "also reaches Deployment b of Application weather"),
        ([configmap("other-settings", topic=TOPIC)], "reaches ConfigMap other-settings of Application w"),
    ):
        with pytest.raises(UsageError, match=words):
            check_taken("weather", settings, [ours, *workloads], {})
