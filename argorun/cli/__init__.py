"""The command line, with typer: one module for each command."""
