"""The small kustomize: patches first, replacements last; what `kustomize build` gives for the same files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from argorun.sandbox.demo import demo_patches, example_folder
from argorun.sandbox.render import KustomizeRender, paths
from argorun.sandbox.render.kustomize import build
from argorun.sandbox.render.strategic import strategic_merge
from argorun.sandbox.standin import RenderError

Json = dict[str, Any]
CONFIG = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "config"}, "data": {"topic": ""}}
JOB = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {"name": "test"},
    "spec": {
        "template": {"spec": {"containers": [{"name": "app", "env": [{"name": "TOPIC", "value": ""}]}]}}
    },
}
ENV = "spec.template.spec.containers.[name=app].env.[name=TOPIC].value"


def folder(tmp_path: Path, **kustomization: Any) -> Path:
    """A folder with CONFIG and JOB."""
    (tmp_path / "all.yaml").write_text(yaml.safe_dump_all([CONFIG, JOB]))
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump({"resources": ["all.yaml"], **kustomization}))
    return tmp_path


def replacement(path: str = ENV, **options: Any) -> Json:
    target: Json = {"select": {"kind": "Job"}, "fieldPaths": [path]}
    if options:
        target["options"] = options
    source = {"kind": "ConfigMap", "name": "config", "fieldPath": "data.topic"}
    return {"source": source, "targets": [target]}


def env(manifests: list[Json]) -> Any:
    return manifests[1]["spec"]["template"]["spec"]["containers"][0]["env"]


JSON_PATCH = "- {op: replace, path: /data/topic, value: t1}"
MERGE_PATCH = "{apiVersion: v1, kind: ConfigMap, metadata: {name: any}, data: {topic: t1, more: x}}"


@pytest.mark.parametrize("text", [JSON_PATCH, MERGE_PATCH])
def test_the_applications_patch_comes_before_the_replacements(tmp_path: Path, text: str) -> None:
    render = KustomizeRender(folder(tmp_path, replacements=[replacement()]))
    patch = {"target": {"kind": "ConfigMap", "name": "conf.*"}, "patch": text}
    manifests = render({"path": ".", "kustomize": {"patches": [patch]}})
    assert manifests[0]["data"]["topic"] == "t1"
    assert manifests[0]["metadata"] == {"name": "config"}
    assert env(manifests) == [{"name": "TOPIC", "value": "t1"}]


def test_a_patch_in_the_folder_is_found_by_its_own_name(tmp_path: Path) -> None:
    (tmp_path / "patch.yaml").write_text(yaml.safe_dump({**CONFIG, "data": {"topic": "t2"}}))
    assert build(folder(tmp_path, patches=[{"path": "patch.yaml"}]))[0]["data"] == {"topic": "t2"}


def test_lists_with_a_key_are_merged_and_the_others_replaced() -> None:
    target = {
        "containers": [{"name": "a", "args": ["x", "y"], "env": [{"name": "A", "value": "1"}]}, {"name": "b"}]
    }
    patch = {
        "containers": [{"name": "b", "image": "i"}, {"name": "a", "args": ["z"], "env": [{"name": "B"}]}]
    }
    assert strategic_merge(target, patch) == {
        "containers": [
            {"name": "b", "image": "i"},
            {"name": "a", "args": ["z"], "env": [{"name": "B"}, {"name": "A", "value": "1"}]},
        ]
    }


def test_null_and_delete_take_away() -> None:
    target = {"a": 1, "b": {"c": 1}, "env": [{"name": "A"}, {"name": "B"}]}
    patch = {"a": None, "b": {"$patch": "delete"}, "env": [{"name": "A", "$patch": "delete"}]}
    assert strategic_merge(target, patch) == {"env": [{"name": "B"}]}


def test_a_replacement_makes_what_is_missing_only_where_it_may(tmp_path: Path) -> None:
    path = "spec.template.metadata.annotations.example\\.com/topic"
    with pytest.raises(RenderError, match="unable to find field"):
        build(folder(tmp_path, replacements=[replacement(path)]))
    made = build(folder(tmp_path, replacements=[replacement(path, create=True)]))
    assert made[1]["spec"]["template"]["metadata"] == {"annotations": {"example.com/topic": ""}}


def test_a_part_of_a_value_can_be_replaced(tmp_path: Path) -> None:
    config = {**CONFIG, "data": {"topic": "host:9092"}}
    it = replacement("metadata.name", delimiter="-", index=0)
    it["source"] |= {"options": {"delimiter": ":", "index": 1}}
    where = folder(tmp_path, replacements=[it])
    (where / "all.yaml").write_text(yaml.safe_dump_all([config, {**JOB, "metadata": {"name": "a-b"}}]))
    assert build(where)[1]["metadata"]["name"] == "9092-b"


def test_the_namespace_reaches_all_but_cluster_wide_objects(tmp_path: Path) -> None:
    where = folder(tmp_path, namespace="ns")
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "r"}}
    (where / "all.yaml").write_text(yaml.safe_dump_all([CONFIG, role]))
    assert [m["metadata"].get("namespace") for m in build(where)] == ["ns", None]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patches": [{"patch": JSON_PATCH}]}, "must specify a target"),
        (
            {"patches": [{"target": {"kind": "ConfigMap"}, "patch": "- {op: replace, path: /no/x}"}]},
            "doc is missing path",
        ),
        (
            {"patches": [{"target": {"kind": "ConfigMap"}, "patch": "- {op: replace, path: /data/x}"}]},
            "missing key",
        ),
        (
            {"patches": [{"patch": "{kind: ConfigMap, apiVersion: v1, metadata: {name: other}}"}]},
            "no resource matches",
        ),
        ({"patches": [{"patch": "{"}]}, "unable to parse"),
        ({"generators": ["x"]}, "does not know: generators"),
    ],
)
def test_what_kustomize_refuses_is_refused(tmp_path: Path, options: Json, message: str) -> None:
    with pytest.raises(RenderError, match=message):
        build(folder(tmp_path, **options))


@pytest.mark.parametrize("path", ["nope", "..", "/"])
def test_a_path_outside_the_repository_is_no_source(tmp_path: Path, path: str) -> None:
    with pytest.raises(RenderError, match="app path does not exist"):
        KustomizeRender(folder(tmp_path))({"path": path})


def test_paths_split_at_dots_but_not_in_brackets_or_after_a_backslash() -> None:
    assert paths.split(r"a.[image=x.y/z].b\.c/d.0") == ["a", "[image=x.y/z]", "b.c/d", "0"]


def test_the_example_renders_for_the_demo_with_one_topic_everywhere() -> None:
    patches = demo_patches("localhost:1234", fail=True)
    topic = {"target": {"kind": "ConfigMap", "name": "topic-config"}}
    patches.append({**topic, "patch": "- {op: replace, path: /data/topic_name, value: t1}"})
    manifests = KustomizeRender(example_folder())({"path": "kustomize", "kustomize": {"patches": patches}})
    by_name = {m["metadata"]["name"]: m for m in manifests}
    assert by_name["kafka-connection"]["data"] == {"bootstrap_servers": "localhost:1234"}
    for name in ("create-topic-job", "delete-topic-job"):
        (container,) = by_name[name]["spec"]["template"]["spec"]["containers"]
        values = {e["name"]: e.get("value") for e in container["env"]}
        assert (values["TOPIC"], values["BOOTSTRAP_SERVERS"]) == ("t1", "localhost:1234")
    (container,) = by_name["run-automation-tests-job"]["spec"]["template"]["spec"]["containers"]
    assert {"name": "EXPECTED", "value": "rainy"} in container["env"]
