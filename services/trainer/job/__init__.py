"""The training job: a process of its own, because what serves must not import what learns."""
