"""The processes of the suite; each folder is one."""
