"""Which sources a result belongs to: commits, as records name them."""

import functools
import pathlib
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
ALL = (':/host', ':/include', ':/cuda', ':/bench', ':(top,exclude)bench/results')  # results are written by the call itself
# What times and accuracies come from. What a suite asks for is in a record's key; how it is shown does not matter.
MEASURED = (':/host', ':/include', ':/cuda', ':(top,glob)bench/**/*.[ch]pp', ':/bench/peers', ':(top,exclude)*.md')


def git(*arguments):
    return subprocess.run(['git', '-C', HERE, *arguments], capture_output=True, text=True)


def commit():
    """The working tree's commit, "+" behind it where files differ from it."""
    try:
        head = git('rev-parse', '--short', 'HEAD')
        changed = git('status', '--porcelain', '--untracked-files=no', '--', *ALL).stdout.strip()
    except OSError:
        return 'unknown'
    return head.stdout.strip() + ('+' if changed else '') if head.returncode == 0 else 'unknown'


@functools.cache
def same(one, other):
    """Whether two commits measure the same: pages, suites and results may differ. Of a changed tree nothing but its name is known."""
    if one == other or '+' in one + other:
        return one == other
    try:
        return git('diff', '--quiet', one, other, '--', *MEASURED).returncode == 0
    except OSError:
        return False
