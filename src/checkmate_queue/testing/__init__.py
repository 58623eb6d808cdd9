"""What tests of queues, and of backends, are made with."""
