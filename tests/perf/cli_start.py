"""How long `driftd --help` takes: `python tests/perf/cli_start.py [RUNS]` prints the median."""

import statistics
import subprocess
import sys
import time

LIMIT = 0.25
"""Seconds that the median may take."""


def start() -> float:
    """Seconds of one start, interpreter included."""
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "driftd.cli.main", "--help"], stdout=subprocess.DEVNULL, check=True
    )
    return time.perf_counter() - began


def main() -> int:
    """Print median, fastest and slowest; 1 if the median is over the limit."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 11
    start()  # the first one compiles
    seconds = sorted(start() for _ in range(runs))
    median = statistics.median(seconds)
    print(
        f"driftd --help: median {median:.3f} s of {runs} runs "
        f"({seconds[0]:.3f} to {seconds[-1]:.3f}), limit {LIMIT} s"
    )
    return 1 if median > LIMIT else 0


if __name__ == "__main__":
    sys.exit(main())
