"""Repositories for Kustomize that change names; unit and contract tests go by the same."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


HELLOTILT: Json = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "hellotilt"},
    "spec": {
        "template": {"spec": {"containers": [{"envFrom": [{"configMapRef": {"name": "topic-config"}}]}]}}
    },
}
"""A Deployment that takes all of the ConfigMap topic-config into its environment."""


def configmap(name: str, **data: str) -> Json:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def deployment(name: str, configmap: str) -> Json:
    """A Deployment of no pods, so that it is cheap, which reads a ConfigMap's topic."""
    labels = {"app": name}
    source = {"configMapKeyRef": {"name": configmap, "key": "topic"}}
    container = {"name": "main", "image": "pause", "env": [{"name": "TOPIC", "valueFrom": source}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


def folder(path: str, *manifests: Json, **kustomization: Any) -> dict[str, str]:
    """A kustomization with these manifests beside it."""
    names = [f"{i}.json" for i in range(len(manifests))]
    resources = [*kustomization.pop("resources", ()), *names]
    written = {f"{path}/{n}": json.dumps(m) for n, m in zip(names, manifests, strict=True)}
    whole = {"resources": resources, **kustomization}
    return {f"{path}/kustomization.yaml": json.dumps(whole)} | written


FEED = (
    configmap("settings", topic="shared"),
    deployment("writer", "settings"),
    configmap("others", topic="theirs"),
    deployment("idler", "others"),
)


@dataclass(frozen=True)
class Layout:
    """A repository, by which names its ConfigMap may be called, and what those mean once it is rendered."""

    files: dict[str, str]
    called: tuple[str, ...]
    configmap: str  # as it is rendered, without a hash
    rolled: tuple[str, ...] = ()
    options: Json = field(default_factory=dict)  # the Application's spec.source.kustomize
    ambiguous: tuple[str, ...] = ()


LAYOUTS = {
    "no affix": Layout(folder("app", *FEED), ("settings",), "settings", ("writer",)),
    "no affix, all begin alike": Layout(
        folder(
            "app",
            configmap("my-feed-settings", topic="x"),
            deployment("my-feed-writer", "my-feed-settings"),
            deployment("my-feed-writer-writer", "my-feed-other"),
        ),
        ("my-feed-settings",),
        "my-feed-settings",
        ("my-feed-writer",),
    ),
    "suffix in the Application": Layout(
        folder("app", *FEED),
        ("settings", "settings-pr42"),
        "settings-pr42",
        ("writer-pr42",),
        {"nameSuffix": "-pr42"},
    ),
    "prefix and suffix in the Application": Layout(
        folder("app", *FEED, namePrefix="replaced-"),
        ("settings", "pr-settings-42"),
        "pr-settings-42",
        ("pr-writer-42",),
        {"namePrefix": "pr-", "nameSuffix": "-42"},
    ),
    "prefix in kustomization.yaml": Layout(
        folder("app", *FEED, namePrefix="dev-"),
        ("settings", "dev-settings"),
        "dev-settings",
        ("dev-writer",),
    ),
    "prefix in kustomization.yaml, suffix in the Application": Layout(
        folder("app", *FEED, namePrefix="dev.a-"),
        ("settings", "dev.a-settings-x"),
        "dev.a-settings-x",
        ("dev.a-writer-x",),
        {"nameSuffix": "-x"},
    ),
    "prefix without a separator": Layout(
        folder("app", *FEED, namePrefix="dev"), ("settings", "devsettings"), "devsettings", ("devwriter",)
    ),
    "one base with a prefix": Layout(
        folder("base", *FEED, namePrefix="feed-")
        | folder("app", deployment("viewer", "settings"), resources=["../base"], nameSuffix="-1"),
        ("settings", "feed-settings", "feed-settings-1"),
        "feed-settings-1",
        ("feed-writer-1", "viewer-1"),
    ),
    "two bases with prefixes": Layout(
        folder("feed", *FEED, namePrefix="feed-")
        | folder("web", *FEED, namePrefix="web-")
        | folder("app", resources=["../feed", "../web"], namePrefix="dev-"),
        ("feed-settings", "dev-feed-settings"),
        "dev-feed-settings",
        ("dev-feed-writer",),
        ambiguous=("settings",),
    ),
    "two bases that begin alike": Layout(
        folder("shop", *FEED, namePrefix="shop-")
        | folder("eu", *FEED, namePrefix="shop-eu-")
        | folder("app", resources=["../shop", "../eu"]),
        ("shop-settings",),
        "shop-settings",
        ("shop-writer",),
    ),
    "a generated one with its hash": Layout(
        folder(
            "app",
            deployment("writer", "made"),
            namePrefix="dev-",
            configMapGenerator=[{"name": "made", "literals": ["topic=shared"]}],
        ),
        ("made", "dev-made"),
        "dev-made",
    ),
    "a generated one without a hash": Layout(
        folder(
            "app",
            deployment("writer", "made"),
            namePrefix="dev-",
            configMapGenerator=[{"name": "made", "literals": ["topic=shared"]}],
            generatorOptions={"disableNameSuffixHash": True},
        ),
        ("made", "dev-made"),
        "dev-made",
        ("dev-writer",),
    ),
}
CALLED = [(layout, name) for layout in LAYOUTS for name in LAYOUTS[layout].called]
