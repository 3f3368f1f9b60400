"""Recommenders that count or factorise, behind one interface with the learned ones."""
