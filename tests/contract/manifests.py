"""The manifests of the contract's Applications: small, fast, and the same for both servers."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

TOPIC = "{{ .Values.kafka.topic }}"  # becomes the Helm parameter `kafka.topic`, on the stand-in, too
DEFAULT = "none"  # its value where the parameter is not set
HOOK = "argocd.argoproj.io/hook"
WAVE = "argocd.argoproj.io/sync-wave"
POLICY = "argocd.argoproj.io/hook-delete-policy"


def container(script: str, name: str = "main", image: str = "busybox", env: list[Json] | None = None) -> Json:
    return {"name": name, "image": image, "command": ["sh", "-c", script], "env": env or []}


def pod(*containers: Json, restart: str = "Never") -> Json:
    return {"restartPolicy": restart, "terminationGracePeriodSeconds": 1, "containers": list(containers)}


def job(
    name: str,
    *containers: str | Json,
    hook: str = "",
    wave: int = 0,
    policy: str = "",
    restart: str = "Never",
    limit: int = 0,
) -> Json:
    """A Job of these containers (a string is a shell script), a hook where `hook` names its phases."""
    named = {HOOK: hook, WAVE: str(wave) if wave else "", POLICY: policy}
    made = [container(c) if isinstance(c, str) else c for c in containers]
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "annotations": {k: v for k, v in named.items() if v}},
        "spec": {"backoffLimit": limit, "template": {"spec": pod(*made, restart=restart)}},
    }


def deployment(name: str, script: str, env: list[Json] | None = None) -> Json:
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": pod(container(script, env=env), restart="Always"),
            },
        },
    }


def configmap(name: str, **data: str) -> Json:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def from_configmap(name: str, key: str) -> list[Json]:
    """A container's environment with TOPIC from a ConfigMap."""
    return [{"name": "TOPIC", "valueFrom": {"configMapKeyRef": {"name": name, "key": key}}}]
