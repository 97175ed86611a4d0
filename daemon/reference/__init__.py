"""The reference of metrics, made from what the collectors declare: `docs/metrics.md` and `toban metrics --describe`."""
