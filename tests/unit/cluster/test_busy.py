"""How long a server that asks to wait is left alone."""

from driftd.cluster.busy import LONGEST, Busy


def test_a_path_waits_as_long_as_the_server_asked() -> None:
    """The wish of one path concerns no other, ends by itself, and is bounded."""
    now = [100.0]
    busy = Busy(lambda: now[0])
    busy.note("/a", 40)
    busy.note("/b", 3600)
    assert (busy.left("/a"), busy.left("/b"), busy.left("/c")) == (40, LONGEST, 0)
    now[0] += 40
    assert busy.left("/a") == 0
    busy.note("/c", 1)
    now[0] += LONGEST
    assert busy.left("/b") == 0
