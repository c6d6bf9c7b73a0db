"""The program that the Flex Template's launcher runs (FLEX_TEMPLATE_PYTHON_PY_FILE)."""

import sys

from pipeline.cli.launch import main

sys.exit(main())
