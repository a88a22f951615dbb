"""Message classes and coders, written by `python -m evse_controller.exi generate` from the schemas; do not edit.

The modules that a user generated from schemas of their own are found in the folders of the environment variable
EVSE_CONTROLLER_SCHEMAS. They stand behind the modules here, so none of them can take the place of one of ours.
"""

import os

__path__ += [folder for folder in os.environ.get("EVSE_CONTROLLER_SCHEMAS", "").split(os.pathsep) if folder]
