"""What the queue decides: pure values and functions, without I/O, clocks or tasks."""
