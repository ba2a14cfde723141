"""Sixty digits: the optimum of one-factor models, and the criterion of any model, that hard numbers are held to."""

from mpmath import log, matrix, mp, mpf, sqrt

mp.dps = 60


def optimum(y, X, groups, reml=False):
    """(nll, log sigma, log sd of the factor, beta) of y ~ X + (1 | group), floats taken as exact.

    With V = sigma^2 (I + lambda Z Z'), all is known in closed form but lambda = sd^2 / sigma^2, which a grid and then
    golden section find.
    """
    columns = [[mpf(float(v)) for v in column] for column in (*X.T, y)]
    m, n, k = len(columns), len(y), len(columns) - 1
    members = [[i for i, g in enumerate(groups) if g == level] for level in sorted(set(groups))]
    total = [[sum(a * b for a, b in zip(columns[r], columns[c])) for c in range(m)] for r in range(m)]
    sums = [[sum(column[i] for i in rows) for column in columns] for rows in members]

    def profile(log_lambda):
        ratio = mp.exp(log_lambda)
        C = matrix(m, m)
        for r in range(m):
            for c in range(m):
                C[r, c] = total[r][c] - sum(ratio / (1 + ratio * len(rows)) * s[r] * s[c] for rows, s in zip(members, sums))
        L = mp.cholesky(C[:k, :k])
        beta = mp.lu_solve(C[:k, :k], C[:k, k])
        rss = C[k, k] - sum(C[r, k] * beta[r] for r in range(k))
        df = n - k if reml else n
        sigma2 = rss / df
        nll = (df * log(sigma2) + df + sum(log(1 + ratio * len(rows)) for rows in members)) / 2
        if reml:
            nll += sum(log(L[r, r]) for r in range(k))
        return nll, sigma2, ratio, beta

    grid = [mpf(v) for v in range(-30, 61)]
    values = [profile(v)[0] for v in grid]
    best = values.index(min(values))
    lower, upper = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    golden = (sqrt(mpf(5)) - 1) / 2
    for _ in range(140):
        left, right = upper - golden * (upper - lower), lower + golden * (upper - lower)
        if profile(left)[0] < profile(right)[0]:
            upper = right
        else:
            lower = left
    nll, sigma2, ratio, beta = profile((lower + upper) / 2)
    return float(nll), float(log(sigma2) / 2), float(log(ratio * sigma2) / 2), [float(b) for b in beta]


def criterion(theta, y, X, blocks):
    """nll of a model at theta by n x n algebra in 60 digits: y, X and the dense blocks are floats, taken as exact."""
    n, k = X.shape
    V = mp.eye(n) * mp.exp(2 * mpf(float(theta[0])))
    for t, Z in zip(theta[1:], blocks):
        Z = matrix(Z.tolist())
        V += mp.exp(2 * mpf(float(t))) * Z * Z.T
    L = mp.cholesky(V)
    columns = [mp.lu_solve(L, matrix(column)) for column in (*X.T.tolist(), y.tolist())]
    C = matrix(k + 1, k + 1)
    for i, a in enumerate(columns):
        for j, b in enumerate(columns):
            C[i, j] = (a.T * b)[0]
    G = mp.cholesky(C)
    return float(sum(log(L[i, i]) for i in range(n)) + G[k, k] ** 2 / 2)
