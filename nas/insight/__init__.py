"""What mattered in a study: importance of parameters and effects of their values."""
