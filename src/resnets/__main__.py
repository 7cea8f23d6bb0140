"""``python -m resnets`` is the command ``resnets``, which begins here, too.

Everything else is imported inside: Ctrl-C may come before the command line is there.
"""

import sys


def main() -> None:
    """Run the command line; interrupted while it is imported it ends as it does later."""
    try:
        from resnets.cli import app

        app.main()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
