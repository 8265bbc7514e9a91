"""The logs of a Job, its pods and their containers, read live."""
