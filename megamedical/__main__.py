"""`python -m megamedical` is `megamedical`."""

from megamedical.cli import app

app()
