"""argorun against the script that people write today, side by side on the real stack: `make bench`."""
