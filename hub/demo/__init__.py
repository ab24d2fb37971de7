"""A demo to look at: the people of the contract and a year of their lives. Texts stand in `text`, and what is said in `talk`."""

from hub.demo.seeding import seed
from hub.demo.summary import describe

__all__ = ["describe", "seed"]
