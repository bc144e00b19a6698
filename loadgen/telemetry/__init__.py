"""The generator's own figures for monitoring systems: Prometheus and OpenTelemetry."""
