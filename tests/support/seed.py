"""The seed of a test in Python with random inputs, as test_seed.hpp draws those in C++."""

import os
import random


def test_seed():
    """1, so that a run of all tests can be repeated as it was; another each time with PDADMM_TEST_SEED=fresh; or what that says."""
    given = os.environ.get("PDADMM_TEST_SEED", "1")
    return random.SystemRandom().randrange(2**32) if given == "fresh" else int(given)
