"""What the benchmarks of samplers share: tables of trained networks, peers, reports."""
