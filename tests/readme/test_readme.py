"""What the README says is so: its files, commands, settings, exit codes and error messages."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import click
import pytest
import typer.main
import yaml

from argorun import cli, config, errors, loading, secrecy
from argorun.argocd import owners
from argorun.reporters.redact import SHORTEST, Redactor

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SOURCE = "\n".join(p.read_text(encoding="utf-8") for p in sorted((ROOT / "argorun").rglob("*.py")))
ENVIRONMENT = {"ARGOCD_AUTH_TOKEN": "t", "KAFKA_PASSWORD": "p", "GATEWAY_KEY": "k"}


def fenced(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def settings() -> str:
    return next(block for block in fenced("yaml") if block.startswith("application:"))


def commands() -> list[list[str]]:
    """Every argorun command line of the README, without the program's name."""
    blocks = "\n".join(fenced("sh") + [step["run"] for step in workflow_steps() if "run" in step])
    lines = re.findall(r"^(?:exec )?argorun (.*)$", blocks, flags=re.MULTILINE)
    return [shlex.split(line.replace("${{ github.sha }}", "abc"), comments=True) for line in lines]


def workflow() -> dict[Any, Any]:
    parsed: dict[Any, Any] = yaml.safe_load(next(b for b in fenced("yaml") if b.startswith("name:")))
    return parsed


def workflow_steps() -> list[dict[str, Any]]:
    return list(workflow()["jobs"]["tests"]["steps"])


def test_the_settings_in_the_readme_are_taken_as_they_stand(tmp_path: Path) -> None:
    file = tmp_path / "argorun.yaml"
    file.write_text(settings())
    loaded = loading.load(config.Flags(file=file), ENVIRONMENT, tmp_path)
    assert loaded.topics == (
        config.Topic(
            prefix="weather_updates",
            parameters=(config.Parameter(helm="kafka.topic"),),
            partitions=1,
            config={"retention.ms": "3600000"},
            groups="weather-tests-",
        ),
    )
    assert (loaded.jobs, loaded.timeouts.busy) == (("run-automation-tests-job",), 600.0)
    assert loaded.kafka["sasl.password"] == "p"


def test_every_setting_that_is_commented_out_exists(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch()
    (tmp_path / "tls.crt").touch()
    (tmp_path / "tls.key").touch()
    file = tmp_path / "argorun.yaml"
    file.write_text(re.sub(r"^  # ", "  ", settings(), flags=re.MULTILINE))
    loaded = loading.load(config.Flags(file=file), ENVIRONMENT, tmp_path).argocd
    assert (loaded.insecure, loaded.root_path, loaded.headers) == (True, "/argocd", {"X-Gateway-Key": "k"})


@pytest.mark.parametrize("arguments", commands(), ids=" ".join)
def test_every_command_line_is_one_that_argorun_takes(arguments: list[str]) -> None:
    group = typer.main.get_command(cli.app)
    assert isinstance(group, click.Group) or hasattr(group, "commands")
    command = group.commands[arguments[0]]  # type: ignore[attr-defined]
    context = command.make_context(arguments[0], list(arguments[1:]))
    assert context.args == []


def test_the_exit_codes_are_those_of_the_errors() -> None:
    rows = re.findall(r"^\| ([\d, ]+) \|", README.split("## Exit codes")[1], flags=re.MULTILINE)
    listed = {int(code) for row in rows for code in row.split(",")}
    classes = {c.exit_code for c in errors.ArgorunError.__subclasses__() if c is not errors.Interrupted}
    assert listed == {0, 129, 130, 143} | classes


MESSAGES = re.findall(
    r"^\| `([^`]+)` \|", README.split("## When something is wrong")[1].split("\n## ")[0], flags=re.MULTILINE
)


@pytest.mark.parametrize("message", MESSAGES)
def test_every_message_that_is_explained_is_one_that_argorun_gives(message: str) -> None:
    """By its parts: what stands between the values that argorun fills in. Two are the server's own words."""
    theirs = {
        "permission denied (HTTP 403)",
        "no session information (HTTP 401)",
        "certificate verify failed",
    }
    filled = re.sub(r"(?<!\w)'[^']*'|…|topics\[0\]|Directory|applications|hook Job\b", "\0", message)
    parts = [p.strip() for p in filled.split("\0") if len(p.strip()) > 3]
    assert parts
    text = re.sub(r"\"\s*\n\s*f?\"", "", SOURCE)
    assert message in theirs or [p for p in parts if p not in text] == []


def test_what_is_to_be_put_into_an_owner_is_what_argorun_prints() -> None:
    parameters, _, record, enabled = owners.PLACES
    printed = {
        owners.application_set_snippet("weather", [parameters, record, enabled]),
        owners.parent_snippet("weather", [parameters]),
    }
    assert {block.rstrip("\n") for block in fenced("yaml") if block.startswith("spec:")} == printed


def test_every_link_leads_to_a_file_of_the_repository() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if not link.startswith("http")]
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_make_target_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"make ([a-z-]+)", "\n".join(fenced("sh"))))
    assert targets == {"demo", "test", "test-all", "check", "test-real", "chaos", "bench"}
    assert [t for t in targets if not re.search(rf"^{t}:", makefile, flags=re.MULTILINE)] == []


def test_the_workflow_pins_its_actions_and_asks_for_little() -> None:
    assert workflow()["permissions"] == {"contents": "read"}
    used = [step["uses"] for step in workflow_steps() if "uses" in step]
    assert used
    assert [u for u in used if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", u)] == []
    assert next(s["run"] for s in workflow_steps() if "argorun run" in s.get("run", "")).startswith(
        "exec argorun "
    )


SECRETS = README.split("## Secrets")[1].split("\n## ")[0]


def test_what_the_readme_calls_secret_is_taken_for_a_secret() -> None:
    named = {
        what: re.findall("`([^`]+)`", re.findall(rf"{what}[^(]*\(([^)]*)\)", SECRETS)[0])
        for what in ("Kafka properties", "Helm parameters")
    }
    assert named == {
        "Kafka properties": ["sasl.password", "ssl.key.pem", "sasl.oauthbearer.client.secret"],
        "Helm parameters": ["db.password", "auth.token", "api.secretKey"],
    }
    assert [n for n in named["Kafka properties"] if secrecy.of_properties({n: "canary"}) != {"canary"}] == []
    assert [n for n in named["Helm parameters"] if not secrecy.is_parameter(n)] == []


def test_the_readme_says_how_short_a_secret_may_be() -> None:
    assert f"fewer than {SHORTEST} characters" in SECRETS
    assert Redactor(["x" * SHORTEST]).text("a" + "x" * SHORTEST) == "a***"
    assert Redactor(["x" * (SHORTEST - 1)]).text("a" + "x" * (SHORTEST - 1)) == "axxx"
