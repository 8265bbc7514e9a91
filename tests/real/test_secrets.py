"""A run on the real Argo CD whose test prints what it should not, and whose chart takes a password."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest

from tests.real import support
from tests.real.cluster import Stack
from tests.real.support import Bench, scripted

OLD, NEW = "former-canary-81", "newer-canary-27"


@pytest.fixture(scope="module")
def bench(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with support.bench(stack, tmp_path_factory.mktemp("secrets"), scripted(), name="secrets") as made:
        yield made


@pytest.mark.parametrize("code", [0, 1])
def test_neither_the_token_nor_a_parameters_password_is_shown(bench: Bench, code: int) -> None:
    in_base64 = base64.b64encode(f"x:{bench.stack.token}".encode()).decode()
    bench.scripts(test=f"echo token {bench.stack.token} and {in_base64}; echo {OLD} {NEW}; exit {code}")
    parameters = [{"name": "db.password", "value": OLD}]
    bench.app.patch({"op": "add", "path": "/spec/source/helm/parameters", "value": parameters})
    bench.app.deploy()
    events = bench.folder / "events.jsonl"
    with bench.as_it_was():
        result = bench.run("--output", "plain", "--events", events, "--set", f"db.password={NEW}")
    assert result.code == code, str(result)
    told = result.out + result.err + events.read_text()
    assert [s for s in (OLD, NEW, bench.stack.token[20:40], in_base64[20:40]) if s in told] == []
    assert "*** ***\n" in result.out
    assert "helm: db.password = *** (was ***)" in result.err


def test_a_dry_run_shows_neither(bench: Bench) -> None:
    bench.scripts(test="true")
    parameters = [{"name": "db.password", "value": OLD}]
    bench.app.patch({"op": "add", "path": "/spec/source/helm/parameters", "value": parameters})
    with bench.as_it_was():
        result = bench.run("--dry-run", "--set", f"db.password={NEW}")
    assert result.code == 0, str(result)
    assert "set helm: db.password to *** (now '***'), and put it back" in result.out
    assert [s for s in (OLD, NEW) if s in result.out + result.err] == []
