"""Parses the parameters that Helm gets from the command in Argo CD's error message. Pure.

See docs/argocd-facts.md#how-helm-is-called.
"""

from __future__ import annotations

import re

# As Argo CD quotes a command that failed: the arguments joined by blanks, without any quoting (source:
# util/exec/exec.go, RunCommandExt; the flags and their order: util/helm/cmd.go, template).
COMMAND = re.compile(r"`helm template (.*?)` failed ", re.DOTALL)
CUT = " <api versions removed>"  # what stands for them all in an error
FLAG = re.compile(
    r"(?:^| )--(set|set-string|set-file|values|name-template|namespace|kube-version|api-versions"
    r"|include-crds|skip-schema-validation|skip-tests)(?= |$)"
)
WINS = ("set", "set-string", "set-file")  # the last wins (source: Helm's pkg/cli/values, MergeValues)


def parameters(text: str) -> dict[str, str] | None:
    """The parameters by name, as Helm gets them; None if the text quotes no `helm template` command.

    A value is as Argo CD passes it on: with its commas escaped, build variables put in.
    """
    command = COMMAND.search(text)
    if command is None:
        return None
    _, *parts = FLAG.split(command[1].replace(CUT, ""))
    flags = list(zip(parts[::2], parts[1::2], strict=True))
    found: dict[str, str] = {}
    for wanted in WINS:
        for flag, argument in flags:
            name, sign, value = argument.removeprefix(" ").partition("=")
            if flag == wanted and sign:
                found[name] = value
    return found


def plain(value: str) -> str:
    """A value as a person writes it: without the backslashes that Argo CD puts before commas.

    Source: util/helm/cmd.go, cleanSetParameters.
    """
    return value.replace("\\,", ",")
