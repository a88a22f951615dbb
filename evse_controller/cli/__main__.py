"""`python -m evse_controller.cli` is `evsectl`."""

import sys

from evse_controller.cli.main import main

sys.exit(main())
