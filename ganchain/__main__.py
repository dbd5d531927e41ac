"""The command line, as ``python -m ganchain``."""

from ganchain.cli.main import main

if __name__ == "__main__":
    main(prog_name="ganchain")
