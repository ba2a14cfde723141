"""The model from its definition, in sixty decimal digits: V formed and factored, whatever it costs.

    V = sigma^2 diag(1 / w) + sum over terms of sum_ij (T T')_ij Z_i Z_j',
    nll = 1/2 log|V| + 1/2 (y - X beta)' V^-1 (y - X beta)     [REML: + 1/2 log|X' V^-1 X|].

Nothing here knows of the engines, of (1), (2), (6) or (7). Derivatives are differences of nll,
which at this precision have some twenty digits, and so more than a double.
"""

from dataclasses import dataclass, field, replace
from decimal import Decimal, localcontext
from functools import wraps
from operator import mul

DECIMAL_DIGITS = 60
DECIMAL_STEP = Decimal("1e-11")   # of theta: its square is the relative error of a derivative
SETTLED = Decimal("1e-20")      # the length of Newton's last step
MOST_DECIMAL_STEPS = 12                 # from a double's optimum; three or four are enough


def in_sixty_digits(function):
    """A function whose decimal arithmetic has sixty digits."""
    @wraps(function)
    def within(*arguments, **options):
        with localcontext() as context:
            context.prec = DECIMAL_DIGITS
            return function(*arguments, **options)

    return within


@dataclass(frozen=True, eq=False)
class Definition:
    """y, X and the columns of Z as decimals, and how Z's are grouped into terms.

    Attributes
    ----------
    y : list of Decimal
    columns : list of list of Decimal
        Those of X.
    products : list of list of list
        By term Z_i Z_j', j <= i, as rows; sparse ones as {place: value} a row.
    sizes : list of int
        How many effects each term has.
    reml : bool
    weights : list of Decimal
        One a row, 1 without weights.
    """

    y: list = field(repr=False)
    columns: list = field(repr=False)
    products: list = field(repr=False)
    sizes: list
    reml: bool
    weights: list = field(repr=False)

    @classmethod
    def of(cls, setup, weights=None):
        """That of a set-up all of whose terms are free; its weights as they were given, if any."""
        design = setup.design
        terms = [design.blocks[span] for span in setup.covariance.spans]
        sizes, products = [], []
        for blocks in terms:
            arrays = [block.matrix.toarray() for block in blocks]
            sizes.append(len(arrays))
            products.append([[_outer(A, B) for B in arrays[: i + 1]] for i, A in enumerate(arrays)])
        y = [Decimal(value) for value in (design.y - design.offset).tolist()]
        columns = [[Decimal(value) for value in column] for column in design.X.T.tolist()]
        weights = [1] * len(y) if weights is None else weights
        return cls(y, columns, products, sizes, setup.reml, list(map(Decimal, weights)))

    def by(self, reml):
        """The same by REML, or by maximum likelihood."""
        return replace(self, reml=reml)

    # -- V -----------------------------------------------------------------------------------------

    def V(self, theta):
        """The rows of V's lower triangle; theta in decimals, -inf for a standard deviation of 0."""
        n = len(self.y)
        V = [[Decimal(0)] * (i + 1) for i in range(n)]
        sigma2 = (2 * theta[0]).exp()
        for i in range(n):
            V[i][i] = sigma2 / self.weights[i]
        elements = iter(theta[1:])
        for c, products in zip(self.sizes, self.products):
            psi = _psi(c, elements)
            for i in range(c):
                for j in range(i + 1):
                    _add(V, psi[i][j], products[i][j])
        return V

    # -- nll ---------------------------------------------------------------------------------------

    @in_sixty_digits
    def __call__(self, theta):
        """nll at theta, and beta there."""
        L = cholesky(self.V(theta))
        right = [forward(L, column) for column in (*self.columns, self.y)]
        G = cholesky([[_dot(a, b) for b in right[: i + 1]] for i, a in enumerate(right)])
        k = len(self.columns)
        nll = sum(row[-1].ln() for row in L) + G[k][k] ** 2 / 2
        if self.reml:
            nll += sum(G[i][i].ln() for i in range(k))
        return nll, backward(G[:k], G[k][:k])

    @in_sixty_digits
    def covariance_of_beta(self, theta):
        """(X' V^-1 X)^-1, as rows."""
        L = cholesky(self.V(theta))
        right = [forward(L, column) for column in self.columns]
        G = cholesky([[_dot(a, b) for b in right[: i + 1]] for i, a in enumerate(right)])
        k = len(G)
        units = [[Decimal(i == j) for j in range(k)] for i in range(k)]
        return [backward(G, forward(G, unit)) for unit in units]

    @in_sixty_digits
    def fitted(self, theta):
        """X beta + Z E[b | y] = y - sigma^2 diag(1 / w) V^-1 (y - X beta)."""
        _, beta = self(theta)
        left = [y - _dot(beta, row) for y, row in zip(self.y, zip(*self.columns))]
        L = cholesky(self.V(theta))
        weighted = backward(L, forward(L, left))
        sigma2 = (2 * theta[0]).exp()
        return [y - sigma2 / w * v for y, w, v in zip(self.y, self.weights, weighted)]

    @in_sixty_digits
    def lengths(self, theta, columns, projected=False):
        """c'V^-1 c of each column, or c'P c, P = V^-1 - V^-1 X (X'V^-1 X)^-1 X'V^-1."""
        L = cholesky(self.V(theta))
        of_X = [forward(L, column) for column in self.columns]
        G = cholesky([[_dot(a, b) for b in of_X[: i + 1]] for i, a in enumerate(of_X)])
        found = []
        for column in columns:
            c = forward(L, [Decimal(float(value)) for value in column])
            explained = forward(G, [_dot(c, x) for x in of_X]) if projected else []
            found.append(_dot(c, c) - _dot(explained, explained))
        return found

    @in_sixty_digits
    def average_information(self, theta):
        """1/2 y'P V_a P V_b P y, V_a = dV / d theta_a, where each term has one effect."""
        L = cholesky(self.V(theta))
        _, beta = self(theta)
        left = [y - _dot(beta, row) for y, row in zip(self.y, zip(*self.columns))]
        Py = backward(L, forward(L, left))
        of_sigma = [{i: 1 / w} for i, w in enumerate(self.weights)]
        terms = [of_sigma, *(products[0][0] for products in self.products)]
        columns = [
            [2 * (2 * t).exp() * value for value in _times(rows, Py)]
            for t, rows in zip(theta, terms)
        ]
        forms = self._forms(L, columns)
        return [[value / 2 for value in row] for row in forms]

    def _forms(self, L, columns):
        """c'P d of each pair of columns, V = L L'."""
        of_X = [forward(L, column) for column in self.columns]
        G = cholesky([[_dot(a, b) for b in of_X[: i + 1]] for i, a in enumerate(of_X)])
        halves = [forward(L, column) for column in columns]
        shares = [forward(G, [_dot(half, x) for x in of_X]) for half in halves]
        return [
            [_dot(a, b) - _dot(of_a, of_b) for b, of_b in zip(halves, shares)]
            for a, of_a in zip(halves, shares)
        ]

    @in_sixty_digits
    def derivatives(self, theta):
        """The gradient and the Hessian of nll in theta, by differences."""
        return differences(lambda at: self(at)[0], theta)

    @in_sixty_digits
    def optimum(self, theta):
        """theta, nll and beta where Newton's iteration ends that begins at `theta`, all free."""
        theta = list(map(Decimal, map(float, theta)))
        for _ in range(MOST_DECIMAL_STEPS):
            gradient, hessian = self.derivatives(theta)
            step = solve(hessian, gradient)
            theta = [t - s for t, s in zip(theta, step)]
            if max(map(abs, step)) < SETTLED:
                break
        else:
            raise ArithmeticError("there is no optimum of the definition near the fit's")
        nll, beta = self(theta)
        return theta, nll, beta


def _outer(A, B):
    """A B' + B A' if they are two, A A' if they are one: of each row the entries up to i."""
    product = A @ B.T if A is B else A @ B.T + B @ A.T
    if not (product == product.round()).all():
        product = None                                      # floats round: products in decimals
    rows = []
    for i in range(len(A)):
        row = {}
        for j in range(i + 1):
            value = _entry(A, B, i, j) if product is None else Decimal(float(product[i, j]))
            if value:
                row[j] = value
        rows.append(row)
    return rows


@in_sixty_digits
def _entry(A, B, i, j):
    """That of the same product, exactly."""
    def dot(a, b):
        return sum((Decimal(float(x)) * Decimal(float(z)) for x, z in zip(a, b) if x and z),
                   Decimal(0))

    return dot(A[i], A[j]) if A is B else dot(A[i], B[j]) + dot(B[i], A[j])


def _psi(c, elements):
    """T T' of a term: T by columns from `elements`, its diagonal on the log scale."""
    T = [[Decimal(0)] * c for _ in range(c)]
    for j in range(c):
        T[j][j] = next(elements).exp()
        for i in range(j + 1, c):
            T[i][j] = next(elements)
    return [[_dot(a, b) for b in T] for a in T]


def _add(V, factor, rows):
    """Add to V's lower triangle."""
    if factor:
        for of_V, row in zip(V, rows):
            for j, value in row.items():
                of_V[j] += factor * value


def _times(rows, x):
    """A symmetric matrix, of which rows have the lower triangle as {place: value}, times x."""
    found = [Decimal(0)] * len(x)
    for i, row in enumerate(rows):
        for j, value in row.items():
            found[i] += value * x[j]
            if i != j:
                found[j] += value * x[i]
    return found


def _dot(a, b):
    return sum(map(mul, a, b), Decimal(0))


# -- decimal algebra -------------------------------------------------------------------------------


def cholesky(A):
    """The lower triangle L, L L' = A, as rows that end on the diagonal."""
    L = []
    for i, row in enumerate(A):
        of_L = []
        for j, above in enumerate(L):
            # of_L has j entries so far, so the product ends there
            of_L.append((row[j] - _dot(of_L, above)) / above[j])
        of_L.append((row[i] - _dot(of_L, of_L)).sqrt())
        L.append(of_L)
    return L


def forward(L, b):
    """x with L x = b."""
    x = []
    for row, value in zip(L, b):
        x.append((value - _dot(x, row)) / row[-1])
    return x


def backward(L, b):
    """x with L' x = b."""
    x = list(b)
    for i in reversed(range(len(x))):
        x[i] /= L[i][i]
        for j in range(i):
            x[j] -= L[i][j] * x[i]
    return x


def solve(A, b):
    """x with A x = b; A symmetric, positive definite."""
    L = cholesky(A)
    return backward(L, forward(L, b))


def differences(f, theta):
    """The gradient and the Hessian of f at theta, by central differences."""
    h = DECIMAL_STEP
    size = len(theta)

    def at(*steps):
        moved = list(theta)
        for i, step in steps:
            moved[i] += step
        return f(moved)

    middle = at()
    up = [at((i, h)) for i in range(size)]
    down = [at((i, -h)) for i in range(size)]
    gradient = [(a - b) / (2 * h) for a, b in zip(up, down)]
    hessian = [[Decimal(0)] * size for _ in range(size)]
    for i in range(size):
        hessian[i][i] = (up[i] - 2 * middle + down[i]) / h**2
        for j in range(i):
            # f(+, +) + f(-, -) less what each of them does alone: h^2 times twice the mixed one
            both = at((i, h), (j, h)) + at((i, -h), (j, -h))
            alone = up[i] + down[i] + up[j] + down[j] - 2 * middle
            hessian[i][j] = hessian[j][i] = (both - alone) / (2 * h**2)
    return gradient, hessian
