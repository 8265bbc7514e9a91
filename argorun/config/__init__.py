"""Configuration: flags, environment, argorun.yaml and the argocd CLI's settings become frozen values."""
