"""Certificates in files and behind live endpoints: when they end, and whether they are trusted."""
