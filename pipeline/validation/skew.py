"""How far two histograms lie apart, for splits and for data that came later. numpy and scipy only."""

from __future__ import annotations

import numpy as np
from scipy.spatial.distance import jensenshannon


def distance(counts, others) -> float:
    """The Jensen-Shannon distance of two histograms: the square root of the mean divergence from their middle, in bits.

    0 where their shares are equal, 1 where no bin is in both. Counts need no common sum.

    Args:
        counts: numbers (N,), not all 0.
        others: likewise.

    Example:
        >>> distance([1, 1], [2, 2]), distance([1, 0], [0, 1])
        (0.0, 1.0)
        >>> round(distance([3, 1], [1, 3]), 4)
        0.4344

    Source: Lin, Divergence measures based on the Shannon entropy, IEEE Trans. Inf. Theory 37 (1991); its metric: Endres and
    Schindelin, IEEE Trans. Inf. Theory 49 (2003).
    """
    return float(np.nan_to_num(jensenshannon(counts, others, base=2)))  # rounding may leave a root of -1e-17


def shifts(counts, others, names, most: int = 3) -> str:
    """The bins whose shares differ most, as text: "car 6.1 % instead of 3.8 %".

    Args:
        counts: numbers (N,), not all 0.
        others: what they are compared with.
        names: of the bins.
        most: how many are named.
    """
    shares, before = (np.asarray(values) / np.sum(values) for values in (counts, others))
    moved = np.argsort(-np.abs(shares - before), kind="stable")[:most]
    return ", ".join(f"{names[k]} {100 * shares[k]:.1f} % instead of {100 * before[k]:.1f} %" for k in moved)
