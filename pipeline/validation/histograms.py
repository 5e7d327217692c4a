"""How different two histograms are: between splits (skew), and between earlier and later data (drift). numpy and scipy only."""

from __future__ import annotations

import numpy as np
from scipy.spatial.distance import jensenshannon


def jensen_shannon_distance(counts, others) -> float:
    """The square root of the mean Kullback-Leibler divergence of two histograms from their mean, in bits.

    0 where the shares of the bins are equal, 1 where no bin is in both. The two may have different sums.

    Args:
        counts: numbers (N,), not all 0.
        others: likewise.

    Example:
        >>> jensen_shannon_distance([1, 1], [2, 2]), jensen_shannon_distance([1, 0], [0, 1])
        (0.0, 1.0)
        >>> round(jensen_shannon_distance([3, 1], [1, 3]), 4)
        0.4344

    Source: Lin, Divergence measures based on the Shannon entropy, IEEE Trans. Inf. Theory 37 (1991); as a metric: Endres and
    Schindelin, IEEE Trans. Inf. Theory 49 (2003).
    """
    return float(np.nan_to_num(jensenshannon(counts, others, base=2)))  # rounding may leave a root of -1e-17


def describe_shifts(counts, others, names, max_bins: int = 3) -> str:
    """The bins whose shares differ most.

    Args:
        counts: numbers (N,), not all 0.
        others: the reference, likewise.
        names: of the bins.
        max_bins: how many are named.

    Example:
        >>> describe_shifts([1, 3], [1, 1], ["sky", "car"], max_bins=1)
        'sky 25.0 % instead of 50.0 %'
    """
    shares, reference = (np.asarray(values) / np.sum(values) for values in (counts, others))
    largest = np.argsort(-np.abs(shares - reference), kind="stable")[:max_bins]
    return ", ".join(f"{names[k]} {100 * shares[k]:.1f} % instead of {100 * reference[k]:.1f} %" for k in largest)
