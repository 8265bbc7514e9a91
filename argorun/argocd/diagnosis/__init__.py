"""Why a resource failed or does not come up."""
