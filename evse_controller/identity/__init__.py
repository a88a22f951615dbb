"""Who may charge. First version: external identification (EIM): free vend, or tokens known to this charger."""

from evse_controller.identity.eim import EimAuthorizer

__all__ = ["EimAuthorizer"]
