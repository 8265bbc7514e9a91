"""docs/reference/configuration.md: each key of argorun.yaml."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from argorun.config.keys import KEYS, SCHEMA_URL, Key
from argorun.config.schema import json_schema
from tests.reference.command_line import all_commands
from tests.reference.markdown import block, sentence
from tests.reference.markdown import page as whole

INTRO = f"""\
argorun reads `./argorun.yaml` if it exists, or the file that `--file` names. Options win over the
environment, and the environment wins over the file. A key that is not on this page is an error.

Editors check and complete the file where its first line names its JSON Schema:

```yaml
# yaml-language-server: $schema={SCHEMA_URL}
```

[`argorun schema`](cli.md#argorun-schema) prints the schema of the version that is installed;
[argorun.schema.json](argorun.schema.json) is that of this page."""


def page() -> str:
    """The page."""
    options = {name for command in all_commands().values() for p in command.params for name in p.opts}
    options |= {p.name.upper() for c in all_commands().values() for p in c.params}
    return whole(
        "argorun.yaml", INTRO, *(part for path, key in KEYS.items() for part in _key(path, key, options))
    )


def _key(path: str, key: Key, options: set[str]) -> Iterator[str]:
    yield f"{'###' if '.' in path else '##'} {path}"
    yield key.about
    yield "\n".join(f"- {fact}" for fact in _facts(path, key, options))
    yield block(example(path, key.example), "yaml")


def _facts(path: str, key: Key, options: set[str]) -> Iterator[str]:
    # null says as much as no key
    yield f"Type: {key.form or type_of(schema_at(path)).removesuffix(' or null')}"
    if key.default is not None:
        yield f"Default: `{key.default if isinstance(key.default, str) else json.dumps(key.default)}`"
    elif key.otherwise.startswith("required"):
        yield sentence(key.otherwise)[:-1]
    elif key.otherwise:
        yield f"Without it: {key.otherwise}"
    if key.variable:
        yield f"Environment: `{key.variable}`"
    if key.option in options:
        yield f"Command line: `{key.option}`"


def schema_at(path: str) -> Mapping[str, Any]:
    """The schema of a key."""
    found = json_schema()
    while path:
        inside = next(s for s in (found, *found.get("anyOf", ())) if s.keys() & {"properties", "items"})
        if path.startswith("[]."):
            found, path = inside["items"], path.removeprefix("[].")
            continue
        inside = next(s for s in (found, *found.get("anyOf", ())) if "properties" in s or "items" in s)
        names = sorted(inside["properties"], key=len, reverse=True)
        name = next(n for n in names if re.match(rf"{re.escape(n)}(?=$|\.|\[)", path))
        found, path = inside["properties"][name], path.removeprefix(name).removeprefix(".")
    return found


def type_of(schema: Mapping[str, Any]) -> str:
    """A type of a JSON Schema in words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(map(type_of, schema["anyOf"]))
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if kinds == ["array"]:
        return f"list of {several(schema['items'])}"
    if kinds == ["object"]:
        return f"{several(schema['additionalProperties'])} by name"
    return " or ".join(kinds)


def several(schema: Mapping[str, Any]) -> str:
    """A type in the plural; an enumeration keeps its name."""
    return f"{type_of(schema)}{'' if '$ref' in schema else 's'}"


def example(path: str, value: object) -> str:
    """The YAML in which a key has a value, with the keys above it."""
    parts = ["kafka", path.removeprefix("kafka.")] if path.startswith("kafka.") else path.split(".")
    return str(yaml.safe_dump(_nested(parts, value), sort_keys=False, width=100))


def _nested(parts: Sequence[str], value: object) -> object:
    if not parts:
        return value
    name, inner = parts[0], _nested(parts[1:], value)
    return {name.removesuffix("[]"): [inner] if name.endswith("[]") else inner}
