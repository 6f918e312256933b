"""What maintainers run beside the suite: `python -m tools`."""
