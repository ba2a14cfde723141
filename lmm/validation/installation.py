"""What the package stands on here: versions, arithmetic, BLAS, threads, and its own files."""

import base64
import hashlib
import platform
import re
import struct
from decimal import Decimal
from importlib import import_module
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np
from scipy.linalg import blas, lapack

from ..datasets import DATA_FOLDER, load_data
from ..fit import lmer
from ..machine import blas_libraries, cores, few_threads
from .definition import in_sixty_digits
from .rows import row_of_digits, row_of_truth

INSTALLATION = "Installation"
IEEE = "IEEE 754, binary64"
PACKAGES = ("numpy", "scipy", "pandas", "patsy")
# a requirement without an extra
REQUIRES_AT_LEAST = re.compile(r"^([A-Za-z]+)\s*>=\s*([0-9.]+)$")
SIZES = (1, 2, 7, 8, 16, 31, 64, 127, 200)      # columns, at edges of what BLAS takes at once
LISTED_SUMS = "sha256.txt"     # the sums of the data, among them
FOLDER = Path(__file__).resolve().parents[1]


# -- what is said of it ----------------------------------------------------------------------------


def about():
    """(what, which) of this installation: no path in it, nothing that changes from run to run."""
    yield "lmm", package_version()
    yield "Python", platform.python_version()
    for name in PACKAGES:
        yield name, import_module(name).__version__
    yield "platform", f"{platform.system()} {platform.machine()}, cores: {cores()}"
    libraries = blas_libraries()
    for i, (config, threads) in enumerate(libraries):
        yield f"BLAS {i + 1}", f"{' '.join(config.split())}; threads outside a fit: {threads}"
    if not libraries:
        yield "BLAS", "no OpenBLAS: its threads are as they were set"
    longer = np.finfo(np.longdouble)
    yield "long double", f"{longer.nmant + 1} bits of mantissa, a double has 53"
    yield "sha256 of the code", digest(code_files())
    yield "sha256 of the data", digest(data_files())
    if recorded() is None:
        yield "installed", "run from a checkout: there is no record of a wheel to compare with"


def package_version():
    """The version that is installed, or that of the checkout is not known."""
    try:
        return distribution("lmm").version
    except PackageNotFoundError:
        return "not installed"


def code_files():
    """The Python files of the package, by their name in it."""
    found = {path.relative_to(FOLDER).as_posix(): path for path in FOLDER.rglob("*.py")}
    return {name: path for name, path in found.items() if not name.startswith("data/")}


def data_files():
    """The files of the data, by their name among them."""
    folder = Path(str(DATA_FOLDER))
    return {
        path.relative_to(folder).as_posix(): path
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }


def digest(files):
    """The first digits of the sha256 of the names and contents of files."""
    total = hashlib.sha256()
    for name, path in sorted(files.items()):
        total.update(f"{name}\0{_sum(path)}\n".encode())
    return total.hexdigest()[:16]


def recorded():
    """The sha256 of each file of the wheel that is installed, by its path; None for a checkout."""
    try:
        files = distribution("lmm").files or ()
    except PackageNotFoundError:
        return None
    own = [file for file in files if file.parts[0] == "lmm" and file.hash is not None]
    if not any(Path(file.locate()).resolve() == FOLDER / "__init__.py" for file in own):
        return None
    return {Path(file.locate()): file.hash.value for file in own}


# -- rows ------------------------------------------------------------------------------------------


def rows(quick):
    """The rows of the installation, quick or not."""
    yield row_of_truth(
        INSTALLATION,
        "the packages are of versions that are supported",
        ", ".join(PACKAGES),
        "the requirements of the package itself",
        _versions,
    )
    yield row_of_truth(
        INSTALLATION,
        "data are those that were published",
        "sha256 of each file of the data",
        f"data/{LISTED_SUMS}",
        _data,
    )
    if recorded() is not None:
        yield row_of_truth(
            INSTALLATION,
            "code and data are those of the wheel",
            "sha256 of each installed file",
            "the record of the wheel",
            _files,
        )
    yield row_of_truth(
        INSTALLATION,
        "doubles are rounded to even, and small ones are not flushed to zero",
        "sums at half a unit in the last place; products below the least normal number",
        IEEE,
        _doubles,
    )
    yield row_of_digits(
        INSTALLATION,
        "logarithms and exponentials have all their digits",
        "numpy's log and exp of 400 numbers",
        "decimal arithmetic of sixty digits",
        15.0,
        _functions(),
    )
    yield row_of_truth(
        INSTALLATION,
        "BLAS multiplies whole numbers exactly, and LAPACK finds their triangle",
        f"dgemm, dsyrk and dpotrf of matrices of {SIZES[0]} to {SIZES[-1]} columns",
        "integer arithmetic",
        _algebra,
    )
    if blas_libraries():
        yield row_of_truth(
            INSTALLATION,
            "within a fit BLAS has one thread, and after it as many as before",
            "what each OpenBLAS says of itself",
            "the number before",
            _threads,
        )
    yield row_of_truth(
        INSTALLATION,
        "the same fit twice is the same to the last bit",
        "Pastes, theta, beta, nll",
        "the first of both",
        _repeated,
    )


def _versions():
    """Whether each is at least what the package requires."""
    try:
        requirements = distribution("lmm").requires or []
    except PackageNotFoundError:
        return False, "lmm is not installed, so what it requires is not known"
    wanted = dict(found.groups() for found in map(REQUIRES_AT_LEAST.match, requirements) if found)
    if set(wanted) != set(PACKAGES):
        return False, f"it requires {', '.join(sorted(wanted))}"
    old = [
        f"{name} {import_module(name).__version__} is older than {least}"
        for name, least in wanted.items()
        if _numbers(import_module(name).__version__) < _numbers(least)
    ]
    return not old, "; ".join(old)


def _numbers(version):
    """A version as numbers that can be compared: "2.0.3rc1" is (2, 0, 3)."""
    return tuple(int(part) for part in re.findall(r"^\d+|(?<=\.)\d+", version))


def _files():
    """Whether each file has the hash that the wheel's record has."""
    others = []
    for path, value in recorded().items():
        found = hashlib.sha256(path.read_bytes()).digest() if path.is_file() else b""
        if base64.urlsafe_b64encode(found).decode().rstrip("=") != value:
            others.append(path.name)
    shown = ", ".join(sorted(others)[:5])
    return not others, f"not as recorded: {shown} ({len(others)} in all)" if others else ""


def _data():
    """Whether each file has the sum that is listed, and each is listed."""
    wanted = dict(listed_sums())
    found = {name: _sum(path) for name, path in data_files().items() if name != LISTED_SUMS}
    others = sorted(name for name in wanted if wanted[name] != found.get(name))
    more = sorted(set(found) - set(wanted))
    said = [
        f"{what}: {', '.join(names[:5])} ({len(names)} in all)"
        for what, names in (("not as listed", others), ("not listed", more))
        if names
    ]
    return bool(wanted) and not said, "; ".join(said)


def listed_sums():
    """(name, sha256) of each file of the data, as they are listed; `sha256sum -c` reads it too."""
    for line in (Path(str(DATA_FOLDER)) / LISTED_SUMS).read_text(encoding="utf-8").splitlines():
        value, name = line.split("  ", 1)
        yield name, value


def _sum(path):
    """The sha256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _doubles():
    """Rounding to nearest even, and gradual underflow, in Python, numpy and BLAS."""
    unit = 2.0**-52
    ties = np.array([1.0, 1.0 + unit]) + unit / 2
    if ties.tolist() != [1.0, 1.0 + 2 * unit] or np.finfo(float).eps != unit:
        return False, "sums are not rounded to the nearest even double"
    if struct.pack("<d", 1.0).hex() != "000000000000f03f":
        return False, "a double is not the one of IEEE 754"
    least = np.full(9, 2.0**-1022)
    in_blas = blas.dscal(2.0**-52, least.copy())
    if not ((least * 2.0**-52 == 5e-324).all() and (in_blas == 5e-324).all()):
        return False, "numbers below the least normal one are flushed to zero"
    return True, ""


def _functions():
    """log and exp of numbers of all sizes, beside those of decimal arithmetic."""
    numbers = np.exp(np.random.default_rng(0).uniform(-300, 300, 200))
    for x, found in zip(numbers.tolist(), np.log(numbers).tolist()):
        yield f"log {x:.3g}", found, _decimal("ln", x)
    powers = np.random.default_rng(1).uniform(-300, 300, 200)
    for x, found in zip(powers.tolist(), np.exp(powers).tolist()):
        yield f"exp {x:.3g}", found, _decimal("exp", x)


@in_sixty_digits
def _decimal(name, x):
    return getattr(Decimal(x), name)()


def _algebra():
    """Products of small whole numbers, which doubles hold exactly, and the triangle of L L'."""
    rng = np.random.default_rng(0)
    for m in SIZES:
        A, B = (rng.integers(-9, 10, (m, m)) for _ in range(2))
        if not np.array_equal(blas.dgemm(1.0, A, B), A @ B):
            return False, f"dgemm is wrong with {m} columns"
        if not np.array_equal(np.triu(blas.dsyrk(1.0, A, trans=1)), np.triu(A.T @ A)):
            return False, f"dsyrk is wrong with {m} columns"
        L = np.tril(rng.integers(-3, 4, (m, m)), -1) + np.eye(m)
        if m <= 31 and not np.array_equal(lapack.dpotrf(L @ L.T, lower=1)[0], L):
            return False, f"dpotrf is wrong with {m} columns"
        ones = np.minimum.outer(np.arange(1, m + 1), np.arange(1, m + 1)) * 1.0
        if not np.array_equal(lapack.dpotrf(ones, lower=1)[0], np.tril(np.ones((m, m)))):
            return False, f"dpotrf is wrong with {m} columns"
    return True, ""


def _threads():
    """Whether a fit has BLAS on one thread, and leaves it as it was."""
    before = blas_libraries()
    with few_threads():
        within = {threads for _, threads in blas_libraries()}
    return within == {1} and blas_libraries() == before, ""


def _repeated():
    fits = [
        lmer("strength ~ 1 + (1 | batch) + (1 | sample)", load_data("Pastes")) for _ in range(2)
    ]
    one, other = ([*fit.theta, *fit.beta, fit.nll] for fit in fits)
    return one == other, ""
