"""An Argo CD stand-in: the API over real HTTP, the hooks as local processes."""

from argorun.sandbox.standin.accounts import Account
from argorun.sandbox.standin.application import Application, Render, RenderError
from argorun.sandbox.standin.faults import ApiError
from argorun.sandbox.standin.server import StandIn
from argorun.sandbox.standin.timings import Timings

__all__ = ["Account", "ApiError", "Application", "Render", "RenderError", "StandIn", "Timings"]
