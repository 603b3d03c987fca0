"""`python -m penstock.sim`."""

from penstock.sim.command import command

command(prog_name="penstock sim")
