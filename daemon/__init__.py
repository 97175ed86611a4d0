"""What holds it together: the command line, wiring, the loop, HTTP, systemd."""
