"""What tests and means cost after a fit, CPU, best of five: run by

    OPENBLAS_NUM_THREADS=1 python -m pytest -s tests/benchmarks/test_after_the_fit.py
"""

from time import process_time

from lmm import anova, lmer, load_data


def best_of_five(ask):
    """Milliseconds of CPU."""
    found = []
    for _ in range(5):
        start = process_time()
        ask()
        found.append(1e3 * (process_time() - start))
    return min(found)


def test_kenward_and_rogers_tests_of_scottish_schools():
    """Each time of a fresh fit, whose parts are not kept yet; pbkrtest takes minutes."""
    fit = lmer("attain ~ verbal * sex + (1 | primary) + (1 | second)", load_data("ScotsSec"))

    def ask():
        fit.__dict__.pop("_kenward_roger", None)
        anova(fit, df="kr")

    taken = best_of_five(ask)
    print(f"\nanova(fit, df='kr') on ScotsSec: {taken:.1f} ms (aim 300)")
    assert taken < 300


def test_pairs_of_oats():
    fit = lmer("Yield ~ C(nitro) * Variety + (1 | Block/Variety)", load_data("Oats"))
    taken = best_of_five(lambda: fit.means("Variety").pairs())
    print(f"\nfit.means('Variety').pairs() on Oats: {taken:.1f} ms (aim 20)")
    assert taken < 20
