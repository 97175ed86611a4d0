"""Alerting inside the daemon: what joins the measured with the rules, the desk, the book and the channels."""
