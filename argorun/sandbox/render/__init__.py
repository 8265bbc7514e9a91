"""A small kustomize: renders a folder and a source to manifests."""

from argorun.sandbox.render.kustomize import KustomizeRender

__all__ = ["KustomizeRender"]
