"""The demo shop: a year of real purchases, and policy documents written for this project."""
