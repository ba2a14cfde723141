"""The rows of certificates and proofs: met, and not met by a package whose certificates are worth nothing."""

from dataclasses import replace

import numpy as np
import pytest

from lmm.validation import certificates


@pytest.fixture(scope="module")
def rows():
    return list(certificates.rows(True))


def failing():
    return {row.requirement.removesuffix(" engine").removesuffix(", dense").removesuffix(", blocked")
            for row in certificates.rows(True) if not row.passed}


def test_all_are_met(rows):
    assert len(rows) == 13 and all(row.passed for row in rows), [row.detail for row in rows if not row.passed]


NO_CERTIFICATE = {"no certificate 0.001 beside an optimum", "no certificate in a saddle", "no certificate where a variance should leave zero"}
DISTANCES = "errors of nll and theta are the distances to the optimum"


@pytest.mark.requirement("it can fail")
@pytest.mark.parametrize("change, fails", [
    ({"certified": True}, NO_CERTIFICATE),
    ({"certified": False, "reasons": ("never",)}, {"an optimum has a certificate"}),
    ({"nll_error": 1e3}, {DISTANCES}),
    ({"nll_error": 0.0}, {DISTANCES}),
    ({"theta_error": np.zeros(3)}, {DISTANCES}),
])
def test_a_certificate_that_says_something_else_is_seen(monkeypatch, change, fails):
    right = certificates.certify
    monkeypatch.setattr(certificates, "certify", lambda *given: replace(right(*given), **change))
    assert fails == failing()


@pytest.mark.requirement("it can fail")
def test_a_proof_that_says_something_else_is_seen(monkeypatch):
    from lmm.inference.proving import Proof
    monkeypatch.setattr(Proof, "proved", property(lambda self: True))
    monkeypatch.setattr(certificates, "ENGINES", ())
    assert failing() == {"the worse of two optima is refuted", "what the proof does not know is left open"}
    monkeypatch.setattr(Proof, "proved", property(lambda self: False))
    assert failing() == {"what is global is proved"}
