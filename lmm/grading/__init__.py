"""Judge a submission of the practical: `lmm(form, dat, ref)`, and its `LMMsetup` and `LMMprof`.

A submission is loaded in a process of its own (`sandbox`; `inside` is what runs there), asked case
by case (`catalogue`), and what it returns is judged here, where the answers are: first its
likelihood at fixed thetas, then its fit (`diagnosis`). A cause is named only where the numbers are
those of the mistake (`mistakes`).
"""

from .case_files import read_cases
from .cases import Case
from .catalogue import built_in_cases
from .command import grade_all
from .judging import Grading, grade
from .report import ClassReport, Report, Result
from .theta_scales import THETA_ORDERS, THETA_SCALES

__all__ = [
    "THETA_ORDERS",
    "THETA_SCALES",
    "Case",
    "ClassReport",
    "Grading",
    "Report",
    "Result",
    "built_in_cases",
    "grade",
    "grade_all",
    "read_cases",
]
