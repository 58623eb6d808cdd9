"""`python -m checkmate_queue.cli`."""

from checkmate_queue.cli.main import main

if __name__ == "__main__":
    main()
