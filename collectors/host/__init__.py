"""The host under the databases, read straight from /proc and /sys.

psutil would say the same at several times the price (a round over the processes costs 4 to 5 times as much), and
keeps the place of /proc in a global of its module, where two machines in one test would meet.
"""
