"""The proxy and the CA that pip was told to use."""

from __future__ import annotations

import configparser
import dataclasses
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

SYSTEM = Path("/etc/pip.conf")


@dataclasses.dataclass(frozen=True)
class PipSettings:
    """What a download needs of pip's settings; None where pip has none."""

    proxy: str | None = None
    ca: Path | None = None


def pip_settings(
    environ: Mapping[str, str], prefix: Path | None = None, system: Path = SYSTEM
) -> PipSettings:
    """PIP_PROXY and PIP_CERT, else what pip's configuration files say. A CA that is not there is left out.

    The files are the machine's, the user's, and that of the virtual environment in `prefix`.
    """
    options = _options(environ, prefix or Path(sys.prefix), system)
    proxy = environ.get("PIP_PROXY") or options.get("proxy")
    ca = environ.get("PIP_CERT") or options.get("cert")
    path = Path(ca).expanduser() if ca else None
    return PipSettings(proxy or None, path if path is not None and path.exists() else None)


def _options(environ: Mapping[str, str], prefix: Path, system: Path) -> dict[str, str]:
    """The options of all files; a file that cannot be read is passed over: pip would complain about it."""
    options: dict[str, str] = {}
    for path in _files(environ, prefix, system):
        parser = configparser.RawConfigParser()
        try:
            parser.read(path, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError):
            continue
        for section in ("global", "install"):
            if parser.has_section(section):
                options |= dict(parser.items(section))
    return options


def _files(environ: Mapping[str, str], prefix: Path, system: Path) -> Iterator[Path]:
    """pip's configuration files, the strongest last (pip's documentation, "Configuration")."""
    chosen = environ.get("PIP_CONFIG_FILE")
    if chosen == os.devnull:
        return
    home = Path(environ.get("HOME") or Path.home())
    yield system
    yield home / ".pip" / "pip.conf"
    yield home / "Library" / "Application Support" / "pip" / "pip.conf"  # macOS
    yield Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "pip" / "pip.conf"
    yield prefix / "pip.conf"
    if chosen:
        yield Path(chosen)
