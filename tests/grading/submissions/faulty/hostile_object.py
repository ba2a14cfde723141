"""Returns an object whose attributes raise. -> where beta and theta were asked"""


class Trap:
    @property
    def beta(self):
        raise RuntimeError("no")

    def __getattr__(self, name):
        raise SystemExit("no")


def lmm(form, dat, ref=()):
    return Trap()
