"""What ends a demo early."""

from checkmate_queue.cli.command import CommandError


class DemoError(CommandError):
    """The demo can't go on; the message is the one line that its user sees."""
