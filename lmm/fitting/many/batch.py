"""The criterion of some responses of one design, as functions of theta: all in stacks.

The parameters are those of `Covariance`, theta with log sigma = 0: sigma is profiled out, and so
psi is relative to sigma^2 (engines/many/).
"""

import numpy as np

from ...engines import look, slopes, taken


class Batch:
    """The criterion of some responses of a design, as functions of theta, (B, size).

    Parameters
    ----------
    design : ByLevel or Stacks
    covariance : Covariance
    units : ndarray, shape (J,)
        As `Rows.units` of the family.
    responses : tuple
        What `Family.respond` returned.
    """

    def __init__(self, design, covariance, units, responses):
        self.design = design
        self.covariance = covariance
        self.units = units
        self.responses = responses
        self.nearly = None          # a batch of one design for all, to look at on a grid instead

    def chosen(self, rows):
        """The same for some of the responses."""
        design = self.design.chosen(rows)
        responses = taken(self.design, self.responses, rows)
        chosen = Batch(design, self.covariance, self.units, responses)
        if self.nearly is not None:
            chosen.nearly = self.nearly.chosen(rows)
        return chosen

    def look(self, theta):
        """The criterion at theta, (B, size)."""
        return look(self.design, self.rho(theta), self.responses)

    def slopes(self, at, with_X=False):
        """Its derivatives in rho there."""
        return slopes(self.design, at, self.responses, with_X)

    def rho(self, theta):
        """The entries of psi over sigma^2, (B, q)."""
        if self.covariance.elementwise:
            return np.exp(2 * theta[:, 1:])
        return self.covariance.entries.of(self.covariance.psi(theta))

    def in_steps(self, theta, of_rho):
        """Gradient, (B, s), and Hessian, (B, s, s), in the coordinates for steps."""
        covariance = self.covariance
        g = of_rho.gradient
        if covariance.elementwise:
            J = 2 * np.exp(2 * theta[:, 1:])
            gradient = J * g
            hessian = J[:, :, None] * of_rho.hessian * J[:, None]
            s = len(J[0])
            hessian[:, range(s), range(s)] += 2 * gradient
            return gradient, hessian
        J = covariance.jacobian(theta)
        gradient = np.einsum("bqs,bq->bs", J, g)
        hessian = J.swapaxes(1, 2) @ of_rho.hessian @ J + covariance.bend(theta, g)
        return gradient, hessian

    def df_used(self, theta, of_rho):
        """How many degrees of freedom each direction makes use of, (B, D)."""
        if self.covariance.elementwise:
            return np.exp(2 * theta[:, 1:]) * of_rho.traces
        return self.covariance.df_used(theta, of_rho.traces)
