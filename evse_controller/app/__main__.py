"""`python -m evse_controller.app` is `evsed`."""

import sys

from evse_controller.app.main import main

sys.exit(main())
