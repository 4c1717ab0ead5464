"""Measurements, side by side on one machine. `python -m benchmarks.NAME`; figures: RESULTS.md."""
