"""What this instance counts, as Prometheus reads it."""

from collections import Counter
from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


class JobsMetrics(Collector):
    def __init__(self, counters: Counter[str], runs_held: Callable[[], int]) -> None:
        self._counters, self._runs_held = counters, runs_held

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("drover_jobs_runs_held", "Runs that this instance conducts", value=self._runs_held())
        counter = CounterMetricFamily("drover_jobs_events", "What happened to commands and results", labels=["kind"])
        for kind, value in sorted(self._counters.items()):
            counter.add_metric([kind], value)
        yield counter
