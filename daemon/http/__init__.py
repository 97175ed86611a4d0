"""How Prometheus, people and programs reach the daemon: sockets, pages, and the text that is scraped."""
