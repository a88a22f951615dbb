"""The daemon's one TOML file: read strictly, errors with file and line, defaults that are the strict ones."""

from evse_controller.config.load import LAB_SWITCHES, Config, DeviceConfig, load
from evse_controller.config.reader import ConfigError

__all__ = ["LAB_SWITCHES", "Config", "ConfigError", "DeviceConfig", "load"]
