"""`make reference`: writes docs/reference, and what the events promise from now on."""

from __future__ import annotations

import sys

from tests import compatibility, reference


def main() -> None:
    """Write every file; exit with an error where the events would take back what they promise."""
    reference.FOLDER.mkdir(exist_ok=True)
    for name, text in reference.files().items():
        (reference.FOLDER / name).write_text(text, encoding="utf-8")
    if lost := compatibility.freeze():
        sys.exit("\n".join(["The events no longer keep what they promise, see CONTRIBUTING.md:", *lost]))


if __name__ == "__main__":
    main()
