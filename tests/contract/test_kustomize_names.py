"""Kustomize's affixes and hashes: argorun's patches reach the object that is meant, and roll its readers."""

from __future__ import annotations

import pytest

from argorun.argocd.parameters import kustomize
from argorun.argocd.parameters.kustomize import Kustomize, rolled_by
from argorun.argocd.parameters.kustomize_names import base_name, rendered_name
from argorun.errors import UsageError
from tests.contract.targets import Target
from tests.kustomizations import LAYOUTS, Json

TOPIC = "weather_updates_1700000000_0a1b2c3d"


@pytest.mark.parametrize("which", LAYOUTS)
async def test_a_name_as_the_source_has_it_or_as_it_is_rendered_reaches_that_object_and_no_other(
    argocd: Target, which: str
) -> None:
    layout = LAYOUTS[which]
    source: Json = {"kustomize": layout.options} if layout.options else {}
    place = {"op": "add", "path": "/spec/source/kustomize"}
    with argocd.application("names", form="kustomize", files=layout.files, source=source) as app:
        async with app.client() as client:
            spec = (await client.application(app.ref)).spec
            before = await client.manifests(app.ref)
            for name in layout.called:
                settings = [Kustomize(name, "topic", TOPIC)]
                kustomize.check_rendered(app.name, settings, before, spec)
                ours = kustomize.patches(settings, before, spec)
                await client.patch(app.ref, [place | {"value": layout.options | {"patches": ours}}])
                after = await client.manifests(app.ref)
                kustomize.check_taken(app.name, settings, after, spec)
                reached = [base_name(m) for m in after if TOPIC in (m.get("data") or {}).values()]
                assert reached == [layout.configmap], name
                rolled = sorted(rendered_name(m) for m in after if rolled_by(m))
                assert rolled == sorted(layout.rolled), name
            for name in layout.ambiguous:
                with pytest.raises(UsageError, match="may be any of"):
                    kustomize.check_rendered(app.name, [Kustomize(name, "topic", TOPIC)], before, spec)
