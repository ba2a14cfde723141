"""Needs what is not there. -> needs the module 'nlme_for_python', which is not installed here"""

import nlme_for_python  # noqa: F401
