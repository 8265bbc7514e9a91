"""`argorun init`: what Argo CD tells of an Application, as a commented argorun.yaml."""
