"""What the gateway counts, under names of Prometheus. Labels are routes, never addresses, hosts or runs."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class Metrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "drover_gateway_requests", "HTTP requests", ["method", "route", "status"], registry=registry
        )
        self.seconds = Histogram(
            "drover_gateway_request_seconds", "Time to answer, without live streams", ["route"], registry=registry
        )
        self.streams = Gauge("drover_gateway_streams", "Live streams that are open", registry=registry)
        self.streams_cut = Counter(
            "drover_gateway_streams_cut", "Live streams ended because their reader was too slow", registry=registry
        )
