"""The example of config/, unchanged but for repoURL: green and red, in both its forms."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.real import support
from tests.real.cluster import CONFIG, Stack, example
from tests.real.support import Bench

FORMS = {"helm": "argorun.yaml", "kustomize": "argorun-kustomize.yaml"}
GROUPS = "weather-tests-"


@contextlib.contextmanager
def weather(
    stack: Stack, tmp_path_factory: pytest.TempPathFactory, form: str, **replace: str
) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp(form)
    files = example(form, replace)
    application = yaml.safe_load((CONFIG / "argocd" / f"application-{form}.yaml").read_text(encoding="utf-8"))
    policy = application["spec"]["syncPolicy"]
    with support.bench(stack, folder, files, form, name=f"weather-{form}", syncPolicy=policy) as bench:
        yield bench


def settings(bench: Bench, form: str) -> Any:
    """The example's own argorun.yaml, with this test's Application, prefix and Argo CD."""
    written = yaml.safe_load((CONFIG / FORMS[form]).read_text(encoding="utf-8"))
    (topic,) = written["topics"]
    written["topics"] = [topic | {"prefix": bench.prefix}]
    for ours in ("application", "argocd"):
        del written[ours]
    return bench.config(**written)


@pytest.mark.parametrize("form", FORMS)
def test_green(stack: Stack, tmp_path_factory: pytest.TempPathFactory, form: str) -> None:
    with weather(stack, tmp_path_factory, form) as bench:
        with bench.as_it_was() as before, bench.start(config=settings(bench, form)) as run:
            code = run.end()
        assert code == 0, str(run)
        assert before.sync == "Synced"
        (topic,) = [e["topic"] for e in run.all("topic_created")]
        lines = [e["text"] for e in run.all("log_line", job="run-automation-tests-job")]
        assert lines[-1] == "PASSED: 5 messages, all as expected."
        assert [line for line in lines if line.startswith("ok ")] == [
            f"ok {n}: update {n} for {topic}: sunny" for n in range(1, 6)
        ]
        hooks = {(e["hook"], e["name"]) for e in run.all("hook_changed", status="succeeded")}
        assert hooks == {
            ("PreSync", "create-topic-job"),
            ("PostSync", "run-automation-tests-job"),
            ("PostSync", "delete-topic-job"),
        }
        assert stack.groups(f"{GROUPS}{topic}") == set(), "the test's consumer group goes with the topic"


@pytest.mark.parametrize("form", FORMS)
def test_red(stack: Stack, tmp_path_factory: pytest.TempPathFactory, form: str) -> None:
    """The workload says something else than the test wants."""
    before_text, after_text = {
        "helm": ("message: sunny", "message: rainy"),
        "kustomize": (
            "- name: MESSAGE\n              value: sunny",
            "- name: MESSAGE\n              value: rainy",
        ),
    }[form]
    with weather(stack, tmp_path_factory, form, **{before_text: after_text}) as bench:
        with bench.as_it_was(), bench.start(config=settings(bench, form)) as run:
            code = run.end()
        assert code == 1, str(run)
        (verdict,) = run.all("verdict")
        assert verdict["title"] == "run-automation-tests-job: the test exited with code 1"
        assert verdict["last_lines"][-1] == 'FAILED: 5 of 5 messages do not say "sunny".'
        hooks = {e["name"] for e in run.all("hook_changed", hook="SyncFail", status="succeeded")}
        assert hooks == {"delete-topic-job"}
