"""The schema `gateway`, in numbered files."""
