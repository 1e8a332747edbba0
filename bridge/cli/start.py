"""Where the command `latentcast` begins. A Ctrl-C while modules are still being loaded just ends the program."""

from bridge.process.loading import loading


def main() -> int:
    """Load the command line and run it; the exit code."""
    with loading():
        from bridge.cli.commands import main

    return main()
