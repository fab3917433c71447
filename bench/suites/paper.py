"""Figures of the paper (arXiv 2105.09837v2) that results are set beside."""

DATASETS = ('cora', 'pubmed', 'citeseer', 'computers', 'photo', 'cs', 'physics', 'flickr', 'arxiv')

# Test accuracy, 10 layers, by neurons of a layer (Table III: 100, Table IV: 500), mean and, for 100 neurons, standard deviation of 5 runs.
_MEANS = {
    100: {
        'gd': (0.730, 0.638, 0.637, 0.646, 0.735, 0.884, 0.909, 0.466, 0.361),
        'adadelta': (0.671, 0.705, 0.620, 0.136, 0.369, 0.787, 0.915, 0.461, 0.523),
        'adagrad': (0.726, 0.753, 0.601, 0.688, 0.813, 0.887, 0.916, 0.481, 0.567),
        'adam': (0.725, 0.742, 0.631, 0.724, 0.855, 0.883, 0.912, 0.512, 0.674),
        'admm': (0.784, 0.784, 0.709, 0.735, 0.856, 0.915, 0.921, 0.513, 0.647),
        'admm-q': (0.788, 0.782, 0.712, 0.687, 0.832, 0.914, 0.919, 0.507, 0.655),
    },
    500: {
        'gd': (0.757, 0.699, 0.680, 0.707, 0.817, 0.906, 0.917, 0.466, 0.436),
        'adadelta': (0.717, 0.722, 0.564, 0.243, 0.380, 0.880, 0.917, 0.462, 0.584),
        'adagrad': (0.776, 0.759, 0.650, 0.753, 0.866, 0.911, 0.914, 0.487, 0.630),
        'adam': (0.771, 0.778, 0.662, 0.739, 0.880, 0.898, 0.914, 0.517, 0.682),
        'admm': (0.786, 0.786, 0.713, 0.751, 0.873, 0.920, 0.918, 0.515, 0.655),
        'admm-q': (0.786, 0.788, 0.712, 0.748, 0.865, 0.919, 0.918, 0.512, 0.657),
    },
}
_SPREADS = {
    'gd': (0.022, 0.080, 0.040, 0.032, 0.169, 0.010, 0.007, 0.007, 0.063),
    'adadelta': (0.064, 0.038, 0.016, 0.060, 0.045, 0.086, 0.014, 0.008, 0.030),
    'adagrad': (0.025, 0.015, 0.037, 0.023, 0.018, 0.007, 0.012, 0.003, 0.016),
    'adam': (0.036, 0.007, 0.018, 0.010, 0.009, 0.009, 0.016, 0.004, 0.006),
    'admm': (0.003, 0.004, 0.003, 0.006, 0.011, 0.004, 0.003, 0.002, 0.002),
    'admm-q': (0.003, 0.003, 0.001, 0.054, 0.010, 0.003, 0.002, 0.003, 0.002),
}


def accuracy(method, dataset, hidden):
    """Mean test accuracy, or None where the paper has none."""
    means = _MEANS.get(hidden, {}).get(method)
    return means[DATASETS.index(dataset)] if means and dataset in DATASETS else None


def accuracy_text(method, dataset, hidden):
    mean = accuracy(method, dataset, hidden)
    if mean is None:
        return ''
    sd = f' ± {_SPREADS[method][DATASETS.index(dataset)]:.3f}' if hidden == 100 else ''
    return f'{mean:.3f}{sd}'


# Speedup over one device of a network of 16 layers of 4,000 neurons, read off Fig. 4: (devices, speedup).
SPEEDUP = {'flickr': ((4, 4.3), (8, 7.6), (16, 11.4)), 'arxiv': ((4, 4.0), (8, 7.8), (16, 12.5))}
