"""Reads from a pod's manifest which containers it has, which instance runs, which ended."""

from __future__ import annotations

import msgspec

from argorun.argocd.types import Camel


class ContainerSpec(Camel, frozen=True):
    name: str = ""
    restart_policy: str = ""  # Always: an init container that runs beside the others, a "sidecar"


class Terminated(Camel, frozen=True):
    exit_code: int = 0


class State(Camel, frozen=True):
    running: dict[str, object] | None = None
    waiting: dict[str, object] | None = None
    terminated: Terminated | None = None


class ContainerStatus(Camel, frozen=True):
    name: str = ""
    restart_count: int = 0
    state: State = State()
    last_state: State = State()


class PodSpec(Camel, frozen=True):
    restart_policy: str = "Always"
    init_containers: list[ContainerSpec] | None = None
    containers: list[ContainerSpec] | None = None


class PodStatus(Camel, frozen=True):
    phase: str = ""
    init_container_statuses: list[ContainerStatus] | None = None
    container_statuses: list[ContainerStatus] | None = None


class PodManifest(Camel, frozen=True):
    """A live pod."""

    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()

    def containers(self) -> list[str]:
        """The names of its containers, init containers first."""
        return [c.name for c in [*(self.spec.init_containers or ()), *(self.spec.containers or ())]]

    def runs_first(self, container: str) -> bool:
        """Whether it is an init container that must have ended before the others begin; no sidecar."""
        init = self._init(container)
        return init is not None and init.restart_policy != "Always"

    def state_of(self, container: str) -> ContainerState:
        """The state of a container; without a name, of the only one."""
        status = self._status(container)
        state = status.state
        over = self.status.phase in ("Succeeded", "Failed")
        if state.terminated is not None:
            over = over or not self._restarts(container, state.terminated.exit_code)
        if state.running is not None or state.terminated is not None:
            return ContainerState(over, True, status.restart_count)
        # Between two instances a kubelet has not counted the next one yet, and others already have: the
        # lower of the two, as the log recognizes an instance that it knows by its lines.
        ran = status.last_state.terminated is not None
        return ContainerState(over, ran, max(0, status.restart_count - 1), between=ran)

    def _status(self, container: str) -> ContainerStatus:
        listed = [*(self.status.init_container_statuses or ()), *(self.status.container_statuses or ())]
        return next((s for s in listed if s.name == container or not container), ContainerStatus())

    def _init(self, container: str) -> ContainerSpec | None:
        return next((c for c in self.spec.init_containers or () if c.name == container), None)

    def _restarts(self, container: str, exit_code: int) -> bool:
        """Whether the kubelet will start it again (kubernetes.io/docs, Pod Lifecycle)."""
        init = self._init(container)
        if init is not None and init.restart_policy == "Always":
            return True
        if self.spec.restart_policy == "Always" and init is None:
            return True
        return self.spec.restart_policy != "Never" and exit_code != 0


class ContainerState(msgspec.Struct, frozen=True):
    """The state of a container."""

    over: bool  # nothing more will be written
    ran: bool  # it has been started, now or before
    restart: int = 0  # which instance its log is of: 0 is the first
    between: bool = False  # that one has ended, and the next has not started yet


GONE = ContainerState(over=True, ran=True)
