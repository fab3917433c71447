"""Figures of the paper (arXiv 2105.09837v2) that results are set beside."""

DATASETS = ('cora', 'pubmed', 'citeseer', 'computers', 'photo', 'cs', 'physics', 'flickr', 'arxiv')

# Test accuracy, 10 layers, by neurons of a layer (Table III: 100, Table IV: 500), mean and, for 100 neurons, standard deviation of 5 runs.
_MEANS = {
    100: {'gd': (.730, .638, .637, .646, .735, .884, .909, .466, .361), 'adadelta': (.671, .705, .620, .136, .369, .787, .915, .461, .523),
          'adagrad': (.726, .753, .601, .688, .813, .887, .916, .481, .567), 'adam': (.725, .742, .631, .724, .855, .883, .912, .512, .674),
          'admm': (.784, .784, .709, .735, .856, .915, .921, .513, .647), 'admm-q': (.788, .782, .712, .687, .832, .914, .919, .507, .655)},
    500: {'gd': (.757, .699, .680, .707, .817, .906, .917, .466, .436), 'adadelta': (.717, .722, .564, .243, .380, .880, .917, .462, .584),
          'adagrad': (.776, .759, .650, .753, .866, .911, .914, .487, .630), 'adam': (.771, .778, .662, .739, .880, .898, .914, .517, .682),
          'admm': (.786, .786, .713, .751, .873, .920, .918, .515, .655), 'admm-q': (.786, .788, .712, .748, .865, .919, .918, .512, .657)}}
_SPREADS = {
    'gd': (.022, .080, .040, .032, .169, .010, .007, .007, .063), 'adadelta': (.064, .038, .016, .060, .045, .086, .014, .008, .030),
    'adagrad': (.025, .015, .037, .023, .018, .007, .012, .003, .016), 'adam': (.036, .007, .018, .010, .009, .009, .016, .004, .006),
    'admm': (.003, .004, .003, .006, .011, .004, .003, .002, .002), 'admm-q': (.003, .003, .001, .054, .010, .003, .002, .003, .002)}


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
