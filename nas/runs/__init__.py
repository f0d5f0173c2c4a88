"""What a run is: its settings, folder and storage, and how they are written and read back."""
