"""What stands for the repo server's kustomize: a folder and a source become manifests."""

from argorun.sandbox.render.kustomize import KustomizeRender

__all__ = ["KustomizeRender"]
