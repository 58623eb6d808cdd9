"""The patterns that the demo runs: what each one's producer sends, and what its handler does."""
