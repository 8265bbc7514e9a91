"""The tasks of a sync, per resource, hook and phase, in Argo CD's order."""

from __future__ import annotations

import copy
import dataclasses

from argorun.sandbox.standin.objects import Json, Key, annotation, group_version, images_of, key_of

PHASES = {"PreSync": -1, "Sync": 0, "PostSync": 1, "SyncFail": 2}
KINDS = [
    *(
        "Namespace",
        "NetworkPolicy",
        "ResourceQuota",
        "LimitRange",
        "PodSecurityPolicy",
        "PodDisruptionBudget",
    ),
    *("ServiceAccount", "Secret", "SecretList", "ConfigMap", "StorageClass", "PersistentVolume"),
    *("PersistentVolumeClaim", "CustomResourceDefinition", "ClusterRole", "ClusterRoleList"),
    *("ClusterRoleBinding", "ClusterRoleBindingList", "Role", "RoleList", "RoleBinding", "RoleBindingList"),
    *("Service", "DaemonSet", "Pod", "ReplicationController", "ReplicaSet", "Deployment"),
    *("HorizontalPodAutoscaler", "StatefulSet", "Job", "CronJob", "IngressClass", "Ingress", "APIService"),
]
HOOK, HELM_HOOK = "argocd.argoproj.io/hook", "helm.sh/hook"
POLICY, HELM_POLICY = "argocd.argoproj.io/hook-delete-policy", "helm.sh/hook-delete-policy"
WAVE, HELM_WAVE = "argocd.argoproj.io/sync-wave", "helm.sh/hook-weight"
HELM_PHASES = {
    "crd-install": "PreSync",
    "pre-install": "PreSync",
    "pre-upgrade": "PreSync",
    "post-install": "PostSync",
    "post-upgrade": "PostSync",
}
HELM_POLICIES = {
    "before-hook-creation": "BeforeHookCreation",
    "hook-succeeded": "HookSucceeded",
    "hook-failed": "HookFailed",
}
OPTIONS = "argocd.argoproj.io/sync-options"
ENDED = ("Succeeded", "Failed", "Error")


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def is_hook(obj: Json) -> bool:
    """The object runs at a point of the sync instead of being kept applied."""
    if annotation(obj, HOOK):
        return annotation(obj, HOOK) != "Skip"
    return bool(annotation(obj, HELM_HOOK)) and annotation(obj, HELM_HOOK) != "crd-install"


def phases_of(obj: Json) -> list[str]:
    """The phases in which an object is applied; none for `Skip`, helm tests and delete hooks."""
    if annotation(obj, HOOK) == "Skip":
        return []
    if not is_hook(obj):
        return ["Sync"]
    names = _words(annotation(obj, HOOK)) or [
        HELM_PHASES.get(w, "") for w in _words(annotation(obj, HELM_HOOK))
    ]
    return sorted({name for name in names if name in PHASES}, key=PHASES.__getitem__)


def policies_of(obj: Json) -> set[str]:
    """A hook's delete policies."""
    found = set(_words(annotation(obj, POLICY)))
    found |= {HELM_POLICIES[w] for w in _words(annotation(obj, HELM_POLICY)) if w in HELM_POLICIES}
    return found & set(HELM_POLICIES.values()) or {"BeforeHookCreation"}


def options_of(obj: Json) -> list[str]:
    """An object's own sync options."""
    return _words(annotation(obj, OPTIONS))


def wave_of(obj: Json) -> int:
    """The sync wave."""
    try:
        return int(annotation(obj, WAVE) or annotation(obj, HELM_WAVE) or 0)
    except ValueError:
        return 0


@dataclasses.dataclass
class Task:
    """One resource or hook in one phase; `target` is None for what is to be pruned."""

    phase: str
    key: Key
    obj: Json
    prune: bool = False
    status: str = ""  # Synced, SyncFailed, Pruned, PruneSkipped
    state: str = ""  # "" (pending), Running, Succeeded, Failed, Error
    message: str = ""

    @property
    def hook(self) -> bool:
        """It is a hook."""
        return not self.prune and is_hook(self.obj)

    @property
    def wave(self) -> int:
        """Its sync wave."""
        return wave_of(self.obj)

    @property
    def pending(self) -> bool:
        """Not begun."""
        return self.state == ""

    @property
    def running(self) -> bool:
        """Applied, and not ended."""
        return self.state == "Running"

    @property
    def failed(self) -> bool:
        """Ended, and not well."""
        return self.state in ("Failed", "Error")

    def set(self, status: str, state: str, message: str) -> None:
        """Set its state; an empty message keeps the last one."""
        self.status, self.state = status, state
        self.message = message or self.message

    def result(self) -> Json:
        """Its entry in syncResult.resources."""
        entry: Json = {
            "group": self.key.group,
            "version": group_version(self.obj)[1],
            "kind": self.key.kind,
            "namespace": self.key.namespace,
            "name": self.key.name,
        }
        optional = {
            "status": self.status,
            "message": self.message,
            "hookType": self.phase if self.hook else "",
            "hookPhase": self.state,
            "syncPhase": self.phase,
            "images": images_of(self.obj),
        }
        return entry | {name: value for name, value in optional.items() if value}


def order(task: Task) -> tuple[int, int, int, str]:
    """Phase, wave, kind, name."""
    kind = KINDS.index(task.key.kind) if task.key.kind in KINDS else len(KINDS)
    return PHASES[task.phase], task.wave, kind, task.key.name


def make_tasks(
    targets: list[Json], surplus: list[Json], namespace: str, *, revision: str, started: int, only: list[Json]
) -> list[Task]:
    """The tasks of a sync; `only` (SyncOperationResource) makes it partial: without hooks."""
    tasks = [Task("Sync", key_of(live), live, prune=True) for live in surplus]
    for target in targets:
        for phase in phases_of(target):
            obj = target
            if is_hook(target) and not target["metadata"].get("name"):
                obj = copy.deepcopy(target)
                postfix = f"{revision[:7]}-{phase}-{started}".lower()
                obj["metadata"]["name"] = f"{obj['metadata'].get('generateName', '')}{postfix}"
            tasks.append(Task(phase, key_of(obj, namespace), obj))
    if only:
        tasks = [t for t in tasks if not t.hook and any(_selects(s, t.key) for s in only)]
    return sorted(tasks, key=order)


def _selects(selector: Json, key: Key) -> bool:
    fields = (("group", key.group), ("kind", key.kind), ("name", key.name))
    return all(selector.get(field, "") == value for field, value in fields) and selector.get("namespace") in (
        None,
        "",
        key.namespace,
    )
