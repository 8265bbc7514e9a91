"""The nightly sweeps in config/ are ready to be copied: pinned, confined, and with argorun's own commands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click
import pytest
import typer.main
import yaml

from argorun.cli.main import commands
from argorun.config import sweep
from argorun.config.sweep import SweepFlags

SWEEP = Path(__file__).parents[3] / "config" / "sweep"
PINNED = r"[\w-]+/[\w-]+@[0-9a-f]{40}"


def takes(*arguments: str) -> dict[str, Any]:
    """What argorun understands of this command line."""
    group = typer.main.get_command(commands)
    assert isinstance(group, click.Group) or hasattr(group, "commands")
    command = group.commands[arguments[0]]  # type: ignore[attr-defined]
    return dict(command.make_context(arguments[0], list(arguments[1:])).params)


def workflow() -> dict[Any, Any]:
    return dict(yaml.safe_load((SWEEP / "github-workflow.yaml").read_text(encoding="utf-8")))


def manifests() -> dict[str, Any]:
    text = (SWEEP / "cronjob.yaml").read_text(encoding="utf-8")
    return {m["kind"]: m for m in yaml.safe_load_all(text)}


def test_the_workflow_runs_nightly_and_by_hand_with_pinned_actions_and_few_permissions() -> None:
    found = workflow()
    assert set(found[True]) == {"schedule", "workflow_dispatch"}  # YAML reads `on` as true
    assert found["permissions"] == {"contents": "read"}
    assert "permissions" not in found["jobs"]["sweep"]
    steps = found["jobs"]["sweep"]["steps"]
    used = [s["uses"] for s in steps if "uses" in s]
    assert used
    assert [u for u in used if not re.fullmatch(PINNED, u)] == []
    assert steps[0]["with"] == {"persist-credentials": False}


def test_the_workflow_pins_what_the_tests_workflow_pins() -> None:
    page = SWEEP.parents[1] / "docs" / "how-to" / "github-actions.md"
    shown = page.read_text(encoding="utf-8")
    for step in workflow()["jobs"]["sweep"]["steps"]:
        assert "uses" not in step or step["uses"] in shown


def test_the_workflows_command_is_argoruns_and_its_secrets_come_by_the_environment() -> None:
    (step,) = [s for s in workflow()["jobs"]["sweep"]["steps"] if "argorun sweep" in s.get("run", "")]
    prefix, *arguments = step["run"].split()[1:]
    assert (step["run"].split()[0], prefix) == ("exec", "argorun")
    assert takes(*arguments)["file"] == Path("argorun.yaml")
    assert step["env"] == {
        name: f"${{{{ secrets.{name} }}}}" for name in ("ARGOCD_AUTH_TOKEN", "KAFKA_PASSWORD")
    }


def pod() -> dict[str, Any]:
    return dict(manifests()["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]["spec"])


def test_the_cronjob_runs_one_sweep_at_a_time_and_never_forever() -> None:
    spec = manifests()["CronJob"]["spec"]
    job = spec["jobTemplate"]["spec"]
    assert (spec["concurrencyPolicy"], job["backoffLimit"], job["activeDeadlineSeconds"]) == (
        "Forbid",
        0,
        900,
    )


def test_the_cronjobs_pod_is_confined() -> None:
    found = pod()
    assert found["automountServiceAccountToken"] is False
    assert found["securityContext"]["runAsNonRoot"] is True
    assert found["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in found["initContainers"] + found["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


def test_the_cronjobs_command_is_argoruns_and_is_itself_the_containers_process() -> None:
    (container,) = pod()["containers"]
    assert container["command"] == ["python", "-m", "argorun"], "no shell, which would keep the signal"
    file = takes(*container["args"])["file"]
    mounted = {m["name"]: m["mountPath"] for m in container["volumeMounts"]}
    assert str(file.parent) == mounted["config"]
    assert [v["configMap"] for v in pod()["volumes"] if v["name"] == "config"] == [
        {"name": manifests()["ConfigMap"]["metadata"]["name"]}
    ]
    assert file.name in manifests()["ConfigMap"]["data"]


def test_the_cronjob_verifies_argo_cd_with_a_certificate_that_is_mounted() -> None:
    argocd = yaml.safe_load(manifests()["ConfigMap"]["data"]["argorun.yaml"])["argocd"]
    assert argocd == {"server": "argocd-server.argocd.svc", "ca": "/ca/tls.crt"}
    (container,) = pod()["containers"]
    mounted = {m["name"]: m["mountPath"] for m in container["volumeMounts"]}
    (volume,) = [v for v in pod()["volumes"] if "secret" in v]
    assert mounted[volume["name"]] == str(Path(argocd["ca"]).parent)


@pytest.mark.parametrize("commented", [False, True])
def test_the_cronjobs_settings_are_taken_as_they_stand(tmp_path: Path, commented: bool) -> None:
    ca = tmp_path / "tls.crt"
    ca.touch()
    text = manifests()["ConfigMap"]["data"]["argorun.yaml"].replace("/ca/tls.crt", str(ca))
    file = tmp_path / "argorun.yaml"
    file.write_text(re.sub(r"^  # ", "  ", text, flags=re.MULTILINE) if commented else text, encoding="utf-8")
    environment = {"ARGOCD_AUTH_TOKEN": "t", "KAFKA_PASSWORD": "p"}
    loaded = sweep.load(SweepFlags(file=file), environment, tmp_path)
    assert (loaded.prefixes, loaded.older_than) == ({"weather_updates": None}, 6 * 3600)
    assert loaded.kafka.get("sasl.password") == ("p" if commented else None)
    assert loaded.argocd is not None
    assert (loaded.argocd.ca, loaded.argocd.insecure) == (ca, commented)


def test_no_secret_stands_in_a_file() -> None:
    (container,) = pod()["containers"]
    assert container["envFrom"] == [{"secretRef": {"name": "argorun-sweep"}}]
    assert {e["name"] for e in container["env"]} == {"HOME", "PYTHONPATH"}
    assert set(manifests()) == {"ConfigMap", "CronJob"}
