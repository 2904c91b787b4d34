"""CDS Hooks 2.0: rules as cards in the EHR. No model is in its path."""

from aris.service.cds_hooks.app import PREFIX, CdsHooks, create_cds_app

__all__ = ["PREFIX", "CdsHooks", "create_cds_app"]
