"""The command `lmm compare`: what a program printed, beside the exact fit of the same data."""

import json
import sys
from decimal import Decimal

from ..datasets import KeyTwice, without_doubles
from ..errors import LMMError, checked_flag, unknown_name
from ..fit import lmer
from ..practical import lmm
from .arbiter import NOBODYS, compare

COMPARE_HELP = "compare what a program printed with the exact fit"
COMPARE_DESCRIPTION = (
    "Fit the model of CLAIMED.json to FILE.csv, and compare the numbers claimed there with the "
    'fit: {"form": "y ~ x + (1 | g)", "reml": true, "factors": ["g"], "program": "SAS 9.4", '
    '"claimed": {"beta": [1.23, 0.45], "sigma": 0.962}}. The exit status is 0 if all numbers are '
    "the fit's or explained by a convention, 1 if not, 2 if nothing can be compared."
)
KEYS = ("form", "ref", "reml", "factors", "program", "claimed")


def add_arguments(parser):
    """The arguments of the command."""
    parser.add_argument("file", metavar="FILE", help="a CSV file with a line of column names")
    parser.add_argument("claims", metavar="CLAIMED", help="a JSON file with model and numbers")
    parser.add_argument("--json", action="store_true", help="print the comparison as JSON")
    parser.add_argument("--html", metavar="OUT", help="write it as HTML too")


def run(options, read_data):
    """Compare, print, and return the exit status; `read_data` reads a CSV file with factors."""
    described = read_described(options.claims)
    dat = read_data(options.file, described["factors"])
    found = compare(fitted(described, dat), described["claimed"], described["program"])
    if options.html:
        with open(options.html, "w", encoding="utf-8") as file:
            file.write(f"<!DOCTYPE html>\n<meta charset='utf-8'>\n{found.to_html()}\n")
    if options.json:
        json.dump(found.to_dict(), sys.stdout, indent=2, allow_nan=False)
        print()
    else:
        print(found)
    return 0 if found.agrees or found.explained else 1


def fitted(described, dat):
    """The fit of a described model."""
    form, reml = described["form"], described["reml"]
    if "|" in form and not described["ref"]:
        return lmer(form, dat, reml=reml)
    return lmm(form, dat, described["ref"], reml=reml)


def read_described(path):
    """The model and the claimed numbers of a JSON file, every number with its printed digits."""
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file, parse_float=Decimal, object_pairs_hook=without_doubles)
    except KeyTwice as error:
        raise LMMError(f"{path} has the key {error.args[0]!r} twice in one object") from None
    except (ValueError, RecursionError) as error:
        raise LMMError(f"{path} is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise LMMError(f"{path} holds no object with the keys {', '.join(KEYS)}")
    for key in found:
        if key not in KEYS:
            raise unknown_name(f"key of {path}", key, KEYS)
    for key in ("form", "claimed"):
        if key not in found:
            raise LMMError(f"{path} has no {key!r}")
    if not isinstance(found["form"], str):
        raise LMMError(f"form of {path} is {found['form']!r}; it is a formula, as text")
    program = found.get("program", NOBODYS)
    factors = found.get("factors", [])
    if not isinstance(factors, list) or not all(isinstance(one, str) for one in factors):
        raise LMMError(f"factors of {path} is {factors!r}; it is a list of names of columns")
    return {
        "form": found["form"],
        "ref": found.get("ref", ()),
        "reml": checked_flag(found.get("reml", False), f"reml of {path}"),
        "factors": factors,
        "program": program,
        "claimed": found["claimed"],
    }
