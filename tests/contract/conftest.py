"""The contract: every check runs on the stand-in, and with --real (`make test-real`) on a real Argo CD, too.

Without --real the real half does not exist, so nothing is skipped; with it, a missing stack is an error.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator

import pytest

from tests.contract.recordings import FAILING_POSTSYNC, FAILING_PRESYNC, GREEN, Recording, record
from tests.contract.targets import RealTarget, StandInTarget, Target, good
from tests.real.cluster import StackMissing

LIMIT = 120.0  # seconds after which a check that hangs is ended


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "argocd" in metafunc.fixturenames:
        kinds = ["standin"]
        if metafunc.config.getoption("--real") and not list(metafunc.definition.iter_markers("standin_only")):
            kinds.append("real")
        metafunc.parametrize("argocd", kinds, indirect=True, scope="session")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a check that is a coroutine."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    check: Callable[..., object] = pyfuncitem.obj
    wanted = inspect.signature(check).parameters

    async def limited() -> None:
        async with asyncio.timeout(LIMIT):
            await check(**{name: pyfuncitem.funcargs[name] for name in wanted})  # type: ignore[misc]

    asyncio.run(limited())
    return True


@pytest.fixture(scope="session")
def argocd(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """The server that the checks are run against."""
    start = RealTarget.start if request.param == "real" else StandInTarget.start
    try:
        with start(tmp_path_factory.mktemp(request.param)) as target:
            yield target
    except StackMissing as e:
        pytest.exit(str(e), returncode=4)


@pytest.fixture(scope="session")
def green(argocd: Target) -> Iterator[tuple[Recording, Recording]]:
    """The same sync twice, the second with another parameter."""
    with argocd.application("green", *GREEN) as app:
        first = asyncio.run(record(app, infos=[{"name": "argorun-run", "value": "one"}]))
        parameter = {"parameters": [{"name": "kafka.topic", "value": "weather"}]}
        good(app.patch({"op": "add", "path": "/spec/source/helm", "value": parameter}))
        yield first, asyncio.run(record(app, infos=[{"name": "argorun-run", "value": "two"}]))


@pytest.fixture(scope="session")
def failed(argocd: Target) -> Iterator[tuple[Recording, Recording]]:
    """A sync whose PostSync hooks fail, and one whose PreSync hook does; the Applications would retry."""
    retry = {"retry": {"limit": 3}}
    with (
        argocd.application("postsync", *FAILING_POSTSYNC, syncPolicy=retry) as post,
        argocd.application("presync", *FAILING_PRESYNC, syncPolicy=retry) as pre,
    ):

        async def both() -> tuple[Recording, Recording]:
            return tuple(await asyncio.gather(record(post), record(pre)))  # type: ignore[return-value]

        yield asyncio.run(both())
