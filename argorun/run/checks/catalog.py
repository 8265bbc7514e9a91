"""The lists of checks: of a run, of a dry run, and of `argorun doctor`."""

from __future__ import annotations

from argorun.run.checks import application, kafka, rendering, server
from argorun.run.checks.check import APPLICATION, ARGOCD, KAFKA, TOPICS, Check

_APP = (ARGOCD, APPLICATION)
_RUN = (*_APP, TOPICS)

SERVER = Check("Argo CD", "Does it answer?", server.answers, (ARGOCD,))
CLOCK = Check("clock", "Is this machine's clock right?", server.clock, (ARGOCD,))
TOKEN = Check("token", "Does Argo CD know the token?", server.account, (ARGOCD,))
LIFETIME = Check("token", "Does the token live long enough?", server.lifetime, (ARGOCD,))
FOUND = Check("application", "Does the token see the Application?", application.found, _APP)
SEEN = (FOUND.name,)
PERMISSIONS = Check("permissions", "May its account do it all?", application.permissions, _APP, SEEN)
SOURCE = Check("source", "Does its source take the parameters?", application.source, _APP, SEEN)
AUTO_SYNC = Check("auto-sync", "Can auto-sync be kept off?", application.auto_sync, _APP, SEEN)
RENDERING = Check("rendering", "Does it render?", rendering.renders, _APP, (SOURCE.name,))
RENDERED = (RENDERING.name,)
TESTS = Check("tests", "Are the test Jobs hooks?", rendering.tests, _APP, RENDERED)
NAMES = Check("names", "Are the hooks' names free?", rendering.names, _APP, RENDERED)
OWNER = Check("owner", "Who else writes its spec?", application.owner, _APP, RENDERED)
WINDOWS = Check("sync windows", "May it be synced now?", application.sync_windows, _APP, SEEN)
VALUES = Check("parameter", "Does the chart know it?", rendering.values, _RUN, (SOURCE.name,))
FILES = Check(
    "files in Git", "Do any override it?", rendering.files_in_git, _RUN, (PERMISSIONS.name, *RENDERED)
)
FREE = Check("in use", "Does anybody use it now?", application.free, _APP, SEEN)
TIMEOUTS = Check("timeouts", "How long may a run take?", server.timeouts, ())
BROKER = Check("Kafka", "Does it answer?", kafka.answers, (KAFKA,))
MAY_MAKE = Check("topics", "May they be created and deleted?", kafka.topics, (KAFKA, TOPICS))
GROUPS = Check("groups", "May they be deleted?", kafka.groups, (KAFKA, TOPICS))

_COMMON = (PERMISSIONS, SOURCE, AUTO_SYNC, RENDERING, TESTS, NAMES, VALUES, OWNER, WINDOWS)
RUN = (FOUND, CLOCK, LIFETIME, *_COMMON, MAY_MAKE)
DRY_RUN = (FOUND, CLOCK, LIFETIME, *_COMMON, FILES, MAY_MAKE, GROUPS)
DOCTOR = (SERVER, CLOCK, TOKEN, FOUND, *_COMMON, FILES, FREE, BROKER, MAY_MAKE, GROUPS, TIMEOUTS)
