"""``python -m chalicelib COMMAND``."""

from chalicelib.commands.cli import main

if __name__ == "__main__":
    main()
