"""The stream daemon: frames to many clients, and how soon they are there."""

import contextlib
import statistics

from subject import Subject, free_port, program, spent_ms
from table import row

CLIENTS, FRAMES, DATA_BYTES = 1000, 2000, 200
ROUNDS = 5
EVENTS_PER_SECOND = 200  # while latencies are measured, with a tenth of the clients


class Stream:
    """One debate that stays open and says nothing: its agents pause."""

    def __init__(self, stack, directory):
        self.port = free_port()
        self.subject = Subject(stack, directory / "subject", self.port,
                               ARAGORA_DEMO_DELAY_MS="10000", ARAGORA_LOG_LEVEL="ERROR",
                               ARAGORA_DISABLE_ALL_RATE_LIMITS="true")
        self.daemon, = self.subject.processes("aragora-streamd")

    def run(self, clients, frames, rate):
        """Frames per second, bytes and the sender's microseconds of each; latencies with a rate."""
        token = self.subject.key["Authorization"].split()[1]
        before = spent_ms(self.daemon)
        per_second, frame_bytes, *latencies = program(
            "fanout", "stream", self.port, token, self.subject.data, self.subject.new_debate(),
            clients, frames, DATA_BYTES, rate)
        cpu_us = 1000 * (spent_ms(self.daemon) - before) / (clients * frames)
        return per_second, frame_bytes, cpu_us, *latencies


def fanout(directory, _options):
    """Against a bare broadcaster of frames of the same size. Where the clients are what is slow,
    the frames a second are theirs: the processor's time of the two senders tells more."""
    with contextlib.ExitStack() as stack:
        stream = Stream(stack, directory)
        turns = []
        for _ in range(ROUNDS):
            per_second, frame_bytes, cpu_us, *_ = stream.run(CLIENTS, FRAMES, 0)
            least, least_cpu_us = program("fanout", "floor", CLIENTS, FRAMES, int(frame_bytes))
            turns.append((per_second, least, per_second / least,
                          cpu_us, least_cpu_us, least_cpu_us / cpu_us))
        value, least, ratio, cpu_us, least_cpu_us, cpu_ratio = map(statistics.median, zip(*turns))
        *_, half, most = stream.run(CLIENTS // 10, EVENTS_PER_SECOND * 5, EVENTS_PER_SECOND)
        return [row("fanout", value, "frames/s", least, ratio),
                row("fanout_cpu", cpu_us, "us", least_cpu_us, cpu_ratio, digits=2),
                row("commit_to_client_p50", half, "us"), row("commit_to_client_p99", most, "us")]
