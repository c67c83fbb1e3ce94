"""`universeg`, or `python -m universeg`: it can be ended while it is imported."""

from __future__ import annotations


def main() -> None:
    """Run the command."""
    from megamedical.reporting.beginning import hear

    hear()
    from megamedical.reporting.ending import end_when_asked

    end_when_asked()
    from universeg.cli import app

    app()


if __name__ == "__main__":
    main()
