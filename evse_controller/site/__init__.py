"""The grid connection: limits of every source, the building meter, what is left for the outlet."""

from evse_controller.site.limits import Direction, LimitBook, LimitStatus
from evse_controller.site.site import MeterScope, Site, SiteConfig, SiteOutlook

__all__ = ["Direction", "LimitBook", "LimitStatus", "MeterScope", "Site", "SiteConfig", "SiteOutlook"]
