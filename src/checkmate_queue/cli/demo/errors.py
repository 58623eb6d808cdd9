"""What ends a demo early."""


class DemoError(Exception):
    """The demo can't go on; the message is the one line that its user sees."""
