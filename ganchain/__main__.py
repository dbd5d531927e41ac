"""``python -m ganchain``: the command line."""

from ganchain.cli.main import main

if __name__ == "__main__":
    main(prog_name="ganchain")
