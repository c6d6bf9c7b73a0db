"""A slow object store on loopback, and the workload that reads from it and writes to it. Start at workload.py."""
