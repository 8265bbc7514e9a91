"""Tables of Kubernetes' and Argo CD's reasons: what each means, and the fix. Pure.

Sources: Kubernetes' pkg/kubelet/container/sync_result.go, pkg/kubelet/images/types.go and
pkg/kubelet/events/event.go, its pkg/controller/job/job_controller.go, and gitops-engine's pkg/sync.
"""

from __future__ import annotations

import contextlib
import re
import signal
from typing import NamedTuple


class Meaning(NamedTuple):
    """A reason in plain words, and the fix; either may be empty."""

    phrase: str
    hint: str = ""


PULL = "check the image's name and tag, its registry, and imagePullSecrets where that is private"
NO_CONFIG = (
    "create the ConfigMap, Secret or key that the container's env names; a PreSync hook sees only what the "
    "previous sync left"
)
VOLUME = "create the ConfigMap, Secret or claim that the pod's volumes name, in the pod's namespace"
COMMAND = "check the container's command and args, and that the program is in the image and executable"

# A container waits with one of these until somebody fixes it: Kubernetes tries again forever, and Argo CD
# waits forever.
CANNOT_START = {
    "ErrImagePull": Meaning("the image cannot be pulled", PULL),
    "ImagePullBackOff": Meaning("the image cannot be pulled", PULL),
    "ErrImageNeverPull": Meaning("the image is not on the node", "set imagePullPolicy to IfNotPresent"),
    "InvalidImageName": Meaning("the image's name is not valid", "write the image as REGISTRY/NAME:TAG"),
    "ImageInspectError": Meaning("the image cannot be used", PULL),
    "RegistryUnavailable": Meaning("the image's registry cannot be reached", PULL),
    "SignatureValidationFailed": Meaning("the image's signature is not valid", PULL),
    "CreateContainerConfigError": Meaning("the container's configuration is missing", NO_CONFIG),
    "CreateContainerError": Meaning("the container cannot be created", COMMAND),
    "RunContainerError": Meaning("the container cannot be started", COMMAND),
}

# A pod may stand in one of these for good reasons (a node is on its way, a large image is pulled, an init
# container waits for a database): only an event or a condition proves that it cannot start.
MAY_NOT_START = re.compile(r"Pending|ContainerCreating|PodInitializing|\d+/\d+")

# Warning events that prove it.
PROOFS = {
    "FailedCreate": Meaning("no pod can be created", "see the event: a quota, a policy or a service account"),
    "FailedScheduling": Meaning(
        "no node takes the pod", "lower its requests, or check its nodeSelector, affinity and tolerations"
    ),
    "FailedMount": Meaning("a volume cannot be mounted", VOLUME),
    "FailedAttachVolume": Meaning("a volume cannot be attached", VOLUME),
    "FailedCreatePodSandBox": Meaning("the pod's network or sandbox cannot be created", "look at the node"),
}

# Events that say that a node is on its way: cluster-autoscaler (core/scaleup/orchestrator), Karpenter.
NODE_COMES = frozenset({"TriggeredScaleUp", "Nominated"})

# What else ends a container, a pod, a Job or a rollout.
ENDS = {
    "OOMKilled": Meaning("out of memory", "raise the container's resources.limits.memory"),
    "StartError": Meaning("the container cannot be started", COMMAND),
    "ContainerCannotRun": Meaning("the container cannot be started", COMMAND),
    "CrashLoopBackOff": Meaning("it keeps crashing", "its log says why: argocd app logs"),
    "Unschedulable": PROOFS["FailedScheduling"],
    "SchedulingGated": Meaning(
        "its scheduling gates are on",
        "find out what removes its schedulingGates, for example a queue such as Kueue",
    ),
    "Evicted": Meaning("the node ran out of resources", "set the pod's requests to what it really uses"),
    "Preempting": Meaning("a more important pod took its place", "give the pod a priorityClassName"),
    "NodeLost": Meaning("its node is gone", "run again"),
    "DeadlineExceeded": Meaning(
        "it took longer than its activeDeadlineSeconds",
        "raise activeDeadlineSeconds, or see what it waits for",
    ),
    "ProgressDeadlineExceeded": Meaning(
        "it was not ready within its progressDeadlineSeconds", "its pods' logs say why: argocd app logs"
    ),
    "NotReady": Meaning("it runs, but is not ready", "see its readinessProbe and its log: argocd app logs"),
}
MEANINGS = CANNOT_START | PROOFS | ENDS

EXIT_CODES = {126: "not executable", 127: "command not found"}

# What Argo CD or the API server says when it does not accept an object.
REFUSALS = (
    (r'namespaces? "[^"]*" not found', "create the namespace, or set syncOptions: [CreateNamespace=true]"),
    (r"not permitted in project", "allow it in the AppProject: destinations, clusterResourceWhitelist"),
    (r"exceeded quota", "raise the namespace's ResourceQuota, or lower the requests"),
    (
        r"violates PodSecurity",
        "give the pod the securityContext that the namespace's Pod Security level requires",
    ),
    (
        r"admission webhook",
        "a policy of the cluster refuses it: change the manifest, or ask who owns the policy",
    ),
    (r"is forbidden: User", "allow Argo CD's controller to do it: a ClusterRole for its service account"),
    (r"field is immutable", "annotate it with argocd.argoproj.io/sync-options: Force=true,Replace=true"),
    (
        r"no matches for kind|could not find the requested resource|CRD is installed",
        "install its CustomResourceDefinition first, in an earlier sync or wave",
    ),
    (
        r"unknown field|error validating|failed to create typed|is invalid|Invalid value|Required value"
        r"|strict decoding|cannot unmarshal|cannot be handled",
        "fix the manifest, and try it: kubectl apply --dry-run=server",
    ),
)


def meaning(reason: str, message: str = "") -> Meaning:
    """What a reason means; a registry's message makes it more exact. An unknown reason is its own phrase."""
    known = MEANINGS.get(reason)
    if known is None:
        return Meaning(reason)
    phrase = known.phrase
    if reason in ("ErrImagePull", "ImagePullBackOff"):
        if re.search(r"not found|manifest unknown|does not exist", message):
            phrase = "there is no such image"
        elif re.search(r"unauthorized|authentication required|denied|forbidden", message, re.IGNORECASE):
            phrase = "the registry denies access to the image"
    return Meaning(f"{phrase} ({reason})", known.hint)


def exit_code(code: int) -> str:
    """`exit code 3`, `exit code 127 (command not found)`, `exit code 137 (SIGKILL)`."""
    said = EXIT_CODES.get(code, "")
    if code > 128:
        with contextlib.suppress(ValueError):
            said = signal.Signals(code - 128).name
    return f"exit code {code}" + (f" ({said})" if said else "")


def refusal(message: str) -> str:
    """The fix for an object that was not accepted; empty if unknown."""
    return next((hint for pattern, hint in REFUSALS if re.search(pattern, message)), "")
