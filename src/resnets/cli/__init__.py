"""Commands of the command line, by what they are for; ``resnets.cli.app`` registers them."""
