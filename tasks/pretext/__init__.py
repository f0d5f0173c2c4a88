"""Self-supervised pretext tasks and their heads."""
