"""What Argo CD says of an object is told without what kubectl repeats in it."""

from __future__ import annotations

import msgspec
import pytest

from argorun.argocd.types import OperationState, ResourceResult

WHOLE = (
    'error when patching "/dev/shm/743254253": Job.batch "checks" is invalid: spec.template: Invalid value: '
    '{"labels":{"a":"b"},"Spec":{"Containers":[{"Command":["sh","-c","echo : x\\ny"]}]}}: field is immutable'
)
BRIEF = 'Job.batch "checks" is invalid: spec.template: field is immutable'


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (WHOLE, BRIEF),
        (
            f"one or more tasks failed, reason: {WHOLE},{WHOLE}",
            f"one or more tasks failed, reason: {BRIEF},{BRIEF}",
        ),
        (WHOLE.replace("echo", "echo\n"), BRIEF),
        ('Job.batch "checks" is invalid: spec.a: Invalid value: -1: must be positive',) * 2,
        ("", ""),
    ],
)
def test_a_field_that_may_not_be_changed_is_told_without_its_value(said: str, told: str) -> None:
    assert ResourceResult(message=said).message == told
    state = msgspec.convert(
        {"message": said, "syncResult": {"resources": [{"message": said}]}}, OperationState
    )
    assert state.message == told
    assert state.sync_result is not None
    assert state.sync_result.resources == [ResourceResult(message=told)]
