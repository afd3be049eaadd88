"""`python -m muslin`: the same as the command `muslin`."""

from muslin.cli import main

if __name__ == "__main__":
    main()
