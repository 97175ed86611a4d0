"""How open the host stands: updates that wait, ports that listen, the firewall, vulnerable packages."""
