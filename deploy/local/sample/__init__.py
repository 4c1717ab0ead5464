"""A sample day: made-up traffic to look at, for `make run SAMPLE=day`."""
