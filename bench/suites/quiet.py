"""How busy others keep the processors: times measured beside them say little."""

import os
import resource
import time

MOST = 0.05  # of the processors' time
WATCHED = 10  # seconds


def busy_seconds():
    """Seconds that all processes have worked since the machine was started, on all processors; None where nothing says so."""
    try:
        with open('/proc/stat', encoding='ascii') as lines:
            fields = [int(field) for field in lines.readline().split()[1:9]]
    except (OSError, ValueError):
        return None
    user, nice, system, _idle, _waiting, interrupts, soft, stolen = fields
    return (user + nice + system + interrupts + soft + stolen) / os.sysconf('SC_CLK_TCK')


def own_seconds():
    """Of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


class Others:
    """Watches from when it is made."""

    def __init__(self, busy=busy_seconds, own=own_seconds, clock=time.monotonic):
        self.sources = busy, own, clock
        self.began = [source() for source in self.sources]

    def share(self):
        """What others took of the processors since then, from 0 to 1; None where it cannot be told, or too soon."""
        now = [source() for source in self.sources]
        if now[0] is None or self.began[0] is None or now[2] - self.began[2] < 0.1:
            return None
        busy, own, seconds = (b - a for a, b in zip(self.began, now))
        return round(min(1.0, max(0.0, (busy - own) / seconds / (os.cpu_count() or 1))), 3)


def share_of_others(seconds=WATCHED):
    others = Others()
    time.sleep(seconds)
    return others.share()
