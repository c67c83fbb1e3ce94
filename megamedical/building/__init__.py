"""The build: archives in, a store out, in stages that can be taken up again."""
