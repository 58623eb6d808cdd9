"""What runs: services that know the seam (`checkmate_queue.store`) and never an engine."""
